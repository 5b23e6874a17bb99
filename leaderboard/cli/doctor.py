"""`leaderboard doctor`: is the installation well, and if not, what to do."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from leaderboard.errors import SettingError

if TYPE_CHECKING:
    from leaderboard.doctor import Examination

#: The exit codes besides 0: something is wrong; the settings say nothing that could be looked at.
WRONG, COULD_NOT_RUN = 1, 2

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For machines: {status, version, checks: [...]}.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of the embedded store, the archive and the keys.  [default: LEADERBOARD_DATA_DIR or ./leaderboard-data]",
)
def doctor(data_dir: Path | None, *, as_json: bool) -> None:
    """Look at store, archive and machine, and say what is wrong and how to mend it.

    Changes nothing. Exit code: 0 when there is no problem (there may be warnings), 1 when there is one, 2 when it could
    not run.
    """
    from leaderboard.doctor import examine  # noqa: PLC0415 - quick --help
    from leaderboard.settings import load_settings  # noqa: PLC0415 - quick --help

    try:
        with _quiet():
            settings = load_settings()
            examination = examine(replace(settings, data_dir=data_dir or settings.data_dir))
    except SettingError as error:
        _fail(str(error), as_json=as_json)
    if as_json:
        click.echo(json.dumps(examination.document(), indent=2, ensure_ascii=False))
    else:
        _show(examination)
    sys.exit(WRONG if examination.status == "problem" else 0)


def _fail(message: str, *, as_json: bool) -> NoReturn:
    """The same document, with the one check that there is."""
    from leaderboard.doctor import Check, Examination, Finding, Status  # noqa: PLC0415 - quick --help

    if as_json:
        finding = Finding(Status.PROBLEM, "the settings cannot be used", message, "Change the setting it names.")
        click.echo(json.dumps(Examination((Check("settings", finding),)).document(), indent=2, ensure_ascii=False))
    else:
        click.echo(f"Error: {message}", err=True)
    sys.exit(COULD_NOT_RUN)


def _show(examination: Examination) -> None:
    width = max(len(check.id) for check in examination.checks)
    for check in examination.checks:
        status = click.style(f"{check.status.value:8}", fg=_COLOURS[check.status.value])
        click.echo(f"{status} {check.id:{width}}  {check.finding.summary}")
        for text in (check.finding.detail, check.finding.mend):
            for number, line in enumerate((text or "").splitlines()):
                mark = "→ " if text is check.finding.mend and number == 0 else "  "
                click.echo(f"{'':{9 + width}}{mark}{line}")
    found = [check.status.value for check in examination.checks]
    click.echo(f"\n{found.count('problem')} problems, {found.count('warning')} warnings, {found.count('ok')} ok")


@contextmanager
def _quiet() -> Iterator[None]:
    """What the doctor finds, it says; the log would only say it twice."""
    log, nowhere = logging.getLogger("leaderboard"), logging.NullHandler()
    log.addHandler(nowhere)
    try:
        yield
    finally:
        log.removeHandler(nowhere)
