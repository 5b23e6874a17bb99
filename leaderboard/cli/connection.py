"""What commands that work on the store itself have in common: which one it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leaderboard.errors import SettingError

if TYPE_CHECKING:
    from leaderboard.installation import Installation

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of the embedded store, where LEADERBOARD_REDIS_URL is not set, and of an SQLite archive without an address.",
)


@contextmanager
def connected(data_dir: Path | None, *, start_store: bool = False, durably: bool = True) -> Iterator[Installation]:
    """The installation of the settings: its store by address, or the embedded one of a running `serve`.

    With `start_store` an embedded one that does not run is started, and stopped again. Not `durably`: a change is not
    waited for as LEADERBOARD_DURABILITY says, as what it answers must be shown in any case. Raises SettingError.
    """
    from leaderboard.installation import open_installation  # noqa: PLC0415 - quick --help
    from leaderboard.settings import Durability, load_settings  # noqa: PLC0415 - quick --help
    from leaderboard.store.embedded import EmbeddedStore  # noqa: PLC0415 - quick --help
    from leaderboard.store.socket_path import running_store_url  # noqa: PLC0415 - quick --help

    settings = load_settings()
    settings = replace(settings, data_dir=(data_dir or settings.data_dir).absolute())
    store = None
    if settings.redis_url is None:
        url = running_store_url(settings.data_dir / "store")
        if url is None and not start_store:
            raise SettingError(
                f"no store: set LEADERBOARD_REDIS_URL, or name the --data-dir of a running `serve` (none runs in "
                f"{settings.data_dir})"
            )
        if url is None:
            store = EmbeddedStore(settings)
            store.start()
            url = store.url
        settings = replace(settings, redis_url=url)
    if not durably:
        settings = replace(settings, durability=Durability.EVERYSEC)
    try:
        lb = open_installation(settings)
        try:
            yield lb
        finally:
            lb.close()
    finally:
        if store is not None:
            store.stop()
