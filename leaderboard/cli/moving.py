"""`leaderboard export` and `leaderboard import`: between installations, and from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leaderboard.cli.connection import DATA_DIR, connected
from leaderboard.errors import Problem

if TYPE_CHECKING:
    from leaderboard.installation import Installation
    from leaderboard.moving.document import Progress
    from leaderboard.moving.importing import Options, Source
    from leaderboard.moving.sending import Summary

_FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)

_OUTPUT = click.option(
    "-o", "--output", type=_FILE, default="-", show_default=True, help="Where to; packed if its name ends in .gz."
)
_BOARD = click.option("--board", help="For rows that name none.")
_PERIOD_ID = click.option("--period-id", help="Put rows that name no standings into these as they are: s3, 2026-W47, …")

#: What every import of scores takes.
_COMMON: list[Callable[[Any], Any]] = [
    click.option("--id-map", type=_FILE, help="A CSV file from,to of player ids; what is made is added to it."),
    click.option("--board-map", type=_FILE, help="The same of boards."),
    click.option("--names/--no-names", default=True, show_default=True, help="Names for players who have none here."),
    click.option("--skip-bad", is_flag=True, help="Leave out rows that are wrong, and list them; else stop."),
    click.option("--at", "at", metavar="INSTANT", help="Of scores that say no instant.  [default: when this began]"),
    click.option("--name", help="What this import is remembered by.  [default: the name of its source]"),
    click.option("--anew", is_flag=True, help="Begin at the beginning, whatever was imported of it."),
    click.option("--after", type=click.IntRange(0), metavar="LINE", help="Begin behind this line, unseen."),
    DATA_DIR,
]


def _common(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_COMMON):
        command = option(command)
    return command


# -- export ----------------------------------------------------------------------------------------------------------


@click.group()
def export() -> None:
    """Write what is here to a file, which then holds personal data: keep it as you keep the archive."""


@export.command(name="installation")
@_OUTPUT
@click.option("--submissions", is_flag=True, help="With every past submission that is archived, one by one.")
@DATA_DIR
def export_installation(output: Path, data_dir: Path | None, *, submissions: bool) -> None:
    """Everything: boards, players, entries, friends, sessions and keys (hashes only)."""
    from leaderboard.moving import installation  # noqa: PLC0415 - quick --help
    from leaderboard.moving.document import new_file  # noqa: PLC0415 - quick --help

    with _archived(data_dir) as lb, new_file(output) as file, _progress() as progress:
        rows = installation.export_installation(lb, file, submissions=submissions, progress=progress)
    click.echo(f"{rows} rows", err=True)


@export.command(name="board")
@click.argument("board")
@_OUTPUT
@click.option("--period-id", help="One of its standings only.")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@DATA_DIR
def export_board(board: str, output: Path, period_id: str | None, form: str, data_dir: Path | None) -> None:
    """The entries of one BOARD, of all its standings, in the order of their ranks."""
    from leaderboard.moving.document import new_file  # noqa: PLC0415 - quick --help
    from leaderboard.moving.export import Format, export_board  # noqa: PLC0415 - quick --help

    with _archived(data_dir) as lb, new_file(output) as file, _progress() as progress:
        exported = export_board(lb, board, file, Format(form), period_id=period_id, progress=progress)
    click.echo(f"{exported.standings} standings with {exported.entries} entries", err=True)


# -- import ----------------------------------------------------------------------------------------------------------


@click.group(name="import")
def import_() -> None:
    """Take over what was exported, or is elsewhere. An import that was cut off goes on when it is run again."""


@import_.command(name="installation")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--anew", is_flag=True, help="Delete first what the import of another file, cut off, has begun.")
@DATA_DIR
def import_installation(file: Path, data_dir: Path | None, *, anew: bool) -> None:
    """Make the installation of a FILE, where there is none yet. Do not start `serve` on it before."""
    from leaderboard.moving import arriving  # noqa: PLC0415 - quick --help

    with connected(data_dir, start_store=True) as lb, _progress() as progress:
        imported = arriving.import_installation(lb, file, anew=anew, progress=progress)
    behind = f"gone on behind line {imported.resumed}: " if imported.resumed else ""
    rebuilt = imported.rebuilt
    click.echo(f"{behind}{imported.rows} rows; {rebuilt.standings} standings with {rebuilt.entries} entries verified")


@import_.command(name="scores")
@click.argument("file", type=_FILE)
@_BOARD
@_PERIOD_ID
@_common
def import_scores(file: Path, board: str | None, data_dir: Path | None, **given: Any) -> None:
    """Rows of a FILE, JSON Lines or CSV: `export board` wrote it, or anybody.

    A row with a period_id is put into that standings as it is. One without counts by the policy of its board, with its
    own achieved_at, however old, in every standings that is still kept.
    """
    from leaderboard.moving import sources  # noqa: PLC0415 - quick --help

    with _writable(data_dir) as lb, _progress() as progress:
        _import(lb, sources.Rows(lb, file, board, progress), given, progress, board)


@import_.command(name="nakama")
@click.argument("file", type=_FILE)
@click.option("--create-boards", is_flag=True, help="Define boards that are missing here; a dump says how they rank.")
@click.option(
    "--expired",
    type=click.Choice(["skip", "keep"]),
    default="skip",
    show_default=True,
    help="What to do with records of past occurrences.",
)
@_common
def import_nakama(file: Path, expired: str, data_dir: Path | None, **given: Any) -> None:
    """Records of Nakama: a FILE that pg_dump wrote (as SQL), or JSON as its API lists records."""
    from leaderboard.moving import sources  # noqa: PLC0415 - quick --help

    with _writable(data_dir) as lb, _progress() as progress:
        _import(lb, sources.Records(file, expired), given, progress, expired)


@import_.command(name="zset")
@click.argument("url")
@click.argument("key")
@click.option("--board", help="The board that it is here.  [default: named like the key]")
@_PERIOD_ID
@click.option("--create-boards", is_flag=True, help="Define the board if it is missing here: of all time, best scores.")
@_common
def import_zset(url: str, key: str, board: str | None, data_dir: Path | None, **given: Any) -> None:
    """The members of a ZSET at KEY in the Redis at URL, with their scores.

    Equal scores keep the order they have there: ZREVRANGE where high scores are better here, ZRANGE where low ones are.
    """
    from leaderboard.moving import sources  # noqa: PLC0415 - quick --help

    with _writable(data_dir) as lb, _progress() as progress:
        _import(lb, sources.Zset(url, key, board), given, progress, board)


@import_.command(name="podium")
@click.argument("url")
@click.argument("keys", nargs=-1)
@click.option("--create-boards", is_flag=True, help="Define boards that are missing here: of all time, best scores.")
@_common
def import_podium(url: str, keys: tuple[str, ...], data_dir: Path | None, **given: Any) -> None:
    """Boards of Podium in the Redis at URL: those at KEYS; without any, show which there may be."""
    from leaderboard.moving import sources  # noqa: PLC0415 - quick --help

    if not keys:
        for line in sources.list_podium(url):
            click.echo(line)
        return
    with _writable(data_dir) as lb:
        for key in keys:
            with _progress() as progress:
                _import(lb, sources.Zset(url, key), given, progress, key)


# -- what they share -------------------------------------------------------------------------------------------------


@contextmanager
def _archived(data_dir: Path | None) -> Iterator[Installation]:
    """The installation, with all that its store has in the archive."""
    from leaderboard import journal  # noqa: PLC0415 - quick --help
    from leaderboard.errors import SettingError  # noqa: PLC0415 - quick --help
    from leaderboard.moving.archiving import Archiving  # noqa: PLC0415 - quick --help
    from leaderboard.settings import load_settings  # noqa: PLC0415 - quick --help

    settings = load_settings()
    directory = data_dir or settings.data_dir
    if settings.redis_url is None and not directory.exists():
        raise SettingError(f"there is no installation in {directory}")
    with connected(data_dir, start_store=True) as lb:
        if journal.read_mark(lb.store, lb.keys) is None and not lb.archive.exists():
            raise SettingError("there is no installation here: neither its store nor its archive holds anything")
        lb.claim.check()
        archiving = Archiving(lb, _warn)
        try:
            archiving.catch_up()
        finally:
            archiving.end()
        yield lb


@contextmanager
def _writable(data_dir: Path | None) -> Iterator[Installation]:
    with connected(data_dir, start_store=True) as lb:
        lb.claim.check()
        yield lb


@contextmanager
def _progress() -> Iterator[Progress]:
    from leaderboard.cli.progress import progress_bar  # noqa: PLC0415 - quick --help

    with progress_bar() as progress:
        yield progress


def _import(
    lb: Installation, source: Source, given: dict[str, Any], progress: Progress, what: str | None = None
) -> None:
    """Import from a source; `what` besides its name tells this import from others of the same source."""
    from leaderboard.audit import by_cli, note  # noqa: PLC0415 - quick --help
    from leaderboard.moving.ids import IdMap  # noqa: PLC0415 - quick --help
    from leaderboard.moving.importing import Import  # noqa: PLC0415 - quick --help

    ids, name = IdMap(given["id_map"], given["board_map"]), given["name"] or source.name
    remembered_by = None if name is None else f"{name} {what} {given.get('period_id')}"
    try:
        # Before it begins: also one that is cut off has done something.
        note(lb, by_cli("import_scores").on(after={"source": source.name}))
        summary = Import(lb, source, ids, _options(given), name=remembered_by, progress=progress, warn=_warn).run()
    except Problem as problem:
        raise click.ClickException(f"{problem}\nRun the same command again: it goes on where it stopped.") from problem
    _report(summary, ids.made)
    for line in source.told():
        click.echo(line)


def _options(given: dict[str, Any]) -> Options:
    from leaderboard.moving import values  # noqa: PLC0415 - quick --help
    from leaderboard.moving.importing import Options  # noqa: PLC0415 - quick --help

    try:
        at_ms = None if given["at"] is None else values.instant(given["at"], "--at")
        period_id = None if given.get("period_id") is None else values.period_id(given["period_id"])
    except values.WrongValue as error:
        raise click.UsageError(str(error)) from error
    return Options(
        period_id, given["names"], given["skip_bad"], given.get("create_boards", False), at_ms, given["anew"],
        given["after"],
    )  # fmt: skip


def _report(summary: Summary, made: int) -> None:
    if summary.resumed and not summary.rows:
        click.echo(f"nothing new: all up to line {summary.resumed} was imported before")
        return
    if summary.resumed:
        click.echo(f"gone on behind line {summary.resumed}")
    for board in summary.boards:
        click.echo(f"defined the board {board}")
    click.echo(f"{summary.rows} rows: {summary.changed} applied, {summary.kept} changed nothing")
    for reason, count in summary.skipped.items():
        click.echo(f"{count} skipped, {reason}")
    if summary.bad:
        click.echo(f"{summary.bad} left out, as something is wrong with them:")
        for wrong in summary.listed:
            click.echo(f"  {wrong}")
        if summary.bad > len(summary.listed):
            click.echo("  …")
    if summary.names:
        click.echo(f"{summary.names} players got their names")
    if summary.bad_names:
        click.echo(f"{summary.bad_names} names were left out: none that a player may have")
    if made:
        click.echo(f"{made} ids were made of ids that do not fit")


def _warn(text: str) -> None:
    click.echo(f"leaderboard: {text}", err=True)
