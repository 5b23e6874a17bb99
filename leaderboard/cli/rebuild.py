"""`leaderboard rebuild`: the store from the archive, or the archive from the store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leaderboard.cli.connection import DATA_DIR, connected

if TYPE_CHECKING:
    from leaderboard.installation import Installation


@click.command()
@click.option("--replace", "replacing", is_flag=True, help="Delete first what this installation has there.")
@click.option("--archive", "fills_archive", is_flag=True, help="Fill a new archive from the store instead.")
@click.option("--from", "source", metavar="URL", help="With --archive: copy this archive of the same store.")
@click.option("--incomplete", is_flag=True, help="Make the store from an archive that was not filled to its end.")
@DATA_DIR
def rebuild(
    data_dir: Path | None, source: str | None, *, replacing: bool, fills_archive: bool, incomplete: bool
) -> None:
    """Make an empty store anew from the archive, and verify every standings.

    Until it is done nothing is answered from the store. A rebuild that was cut off goes on where it stopped.

    With --archive it is the other way round, while the service goes on: what the store has is written into a new
    archive, and every entry compared. Single submissions of the past and standings that have expired are not in the
    store, so they do not come back, unless the former archive is still there to be copied --from. One of this store
    that is filled anew with --replace keeps its submissions. Cut off, start it again.
    """
    if fills_archive and incomplete:
        raise click.UsageError("--incomplete is for making the store")
    if source is not None and not fills_archive:
        raise click.UsageError("--from needs --archive")
    with connected(data_dir, start_store=True) as lb:
        if fills_archive:
            _fill_archive(lb, source, replacing)
        else:
            _fill_store(lb, replacing, incomplete)


def _fill_store(lb: Installation, replacing: bool, incomplete: bool) -> None:
    from leaderboard.cli.progress import progress_bar  # noqa: PLC0415 - quick --help
    from leaderboard.rebuild import rebuild as rebuild_store  # noqa: PLC0415 - quick --help
    from leaderboard.rebuild.archive import take_for_whole  # noqa: PLC0415 - quick --help

    take_for_whole(lb, anyway=incomplete)
    with progress_bar() as progress:
        rebuilt = rebuild_store(lb, replacing=replacing, progress=progress)
    click.echo(
        f"{'resumed, ' if rebuilt.resumed else ''}{rebuilt.rows} rows written, "
        f"{rebuilt.standings} standings with {rebuilt.entries} entries verified"
    )


def _fill_archive(lb: Installation, source: str | None, replacing: bool) -> None:
    from leaderboard.archive.database import Archive  # noqa: PLC0415 - quick --help
    from leaderboard.cli.progress import progress_bar  # noqa: PLC0415 - quick --help
    from leaderboard.rebuild.archive import fill_archive  # noqa: PLC0415 - quick --help

    former = None if source is None else Archive(replace(lb.settings, database_url=source))
    try:
        with progress_bar() as progress:
            filled = fill_archive(lb, source=former, replacing=replacing, progress=progress)
    finally:
        if former is not None:
            former.close()
    click.echo(
        f"the archive has {filled.boards} boards, {filled.players} players and {filled.submissions} submissions; "
        f"{filled.standings} standings with {filled.entries} entries are as in the store"
    )
    if former is None:
        click.echo(
            "Not in the store, and so not in the archive: standings that had expired. Of past submissions, one by one, "
            "it has those that it had: should the store be lost within 48 hours, it would not know the "
            "Idempotency-Keys of others."
        )
