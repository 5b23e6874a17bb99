"""The command `leaderboard`. What a command needs is imported when it runs, so that --help is quick."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from leaderboard.cli.boards import boards
from leaderboard.cli.doctor import doctor
from leaderboard.cli.keys import keys
from leaderboard.cli.moving import export, import_
from leaderboard.cli.rebuild import rebuild
from leaderboard.errors import LeaderboardError


class _Commands(click.Group):
    """Shows what went wrong on one line, as for a wrong option, where it is the caller's to put right."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LeaderboardError as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands)
@click.version_option(package_name="leaderboard-server")
def main() -> None:
    """A self-hosted leaderboard service."""


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=8000, show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Web server processes; one per core, up to 8.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where data and keys are kept.  [default: LEADERBOARD_DATA_DIR or ./leaderboard-data]",
)
@click.option("--demo", is_flag=True, help="Simulated players make it move.")
def serve(host: str, port: int, workers: int | None, data_dir: Path | None, *, demo: bool) -> None:
    """Run the store and the web server together, until Ctrl-C."""
    from leaderboard.serve import supervisor  # noqa: PLC0415 - quick --help
    from leaderboard.settings import load_settings  # noqa: PLC0415 - quick --help

    settings = load_settings()
    if data_dir is not None:
        settings = replace(settings, data_dir=data_dir)
    supervisor.serve(settings, host=host, port=port, workers=workers, demo=demo)


@main.command()
def worker() -> None:
    """Drain the journal into the archive, until Ctrl-C. `serve` runs one by itself."""
    from leaderboard.settings import load_settings  # noqa: PLC0415 - quick --help
    from leaderboard.stop_request import StopRequest  # noqa: PLC0415 - quick --help
    from leaderboard.worker import work  # noqa: PLC0415 - quick --help

    with StopRequest() as stop:
        work(load_settings(), stop)


main.add_command(boards)
main.add_command(doctor)
main.add_command(export)
main.add_command(import_)
main.add_command(keys)
main.add_command(rebuild)
