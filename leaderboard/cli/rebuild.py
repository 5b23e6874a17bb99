"""`leaderboard rebuild`: the store from the archive."""

from __future__ import annotations

from pathlib import Path

import click

from leaderboard.cli.connection import DATA_DIR, connected


@click.command()
@click.option("--replace", "replacing", is_flag=True, help="Delete first what this installation has in the store.")
@DATA_DIR
def rebuild(data_dir: Path | None, *, replacing: bool) -> None:
    """Make an empty store anew from the archive, and verify every standings.

    Until it is done nothing is answered from the store. A rebuild that was cut off goes on where it stopped.
    """
    from leaderboard.cli.progress import progress_bar  # noqa: PLC0415 - quick --help
    from leaderboard.rebuild import rebuild as rebuild_store  # noqa: PLC0415 - quick --help

    with connected(data_dir, start_store=True) as lb, progress_bar() as progress:
        rebuilt = rebuild_store(lb, replacing=replacing, progress=progress)
    click.echo(
        f"{'resumed, ' if rebuilt.resumed else ''}{rebuilt.rows} rows written, "
        f"{rebuilt.standings} standings with {rebuilt.entries} entries verified"
    )
