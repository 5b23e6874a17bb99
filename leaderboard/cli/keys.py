"""`leaderboard keys`: keys made in the store itself, for whoever runs the machine and has no admin key (any more)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from leaderboard.errors import SettingError

if TYPE_CHECKING:
    from leaderboard.credentials import Credentials

_DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Of a running `serve`, where LEADERBOARD_REDIS_URL is not set.",
)


@click.group()
def keys() -> None:
    """Keys of admins, servers and read-only callers."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "server", "read"]), required=True)
@_DATA_DIR
def create(name: str, role: str, data_dir: Path | None) -> None:
    """Make a key called NAME and print it; it cannot be shown again."""
    from leaderboard.credentials import ROLES  # noqa: PLC0415 - quick --help

    with _credentials(data_dir) as credentials:
        click.echo(credentials.create(name, ROLES[role]).secret)


@keys.command(name="list")
@_DATA_DIR
def list_keys(data_dir: Path | None) -> None:
    """Show all keys: id, role, state, name."""
    with _credentials(data_dir) as credentials:
        for key in credentials.list():
            state = "works" if key.revoked_ms is None else "revoked"
            click.echo(f"{key.id}  {key.role.name.lower():6}  {state:7}  {key.name}")


@keys.command()
@click.argument("key_id")
@_DATA_DIR
def revoke(key_id: str, data_dir: Path | None) -> None:
    """Stop the key with this id from working."""
    with _credentials(data_dir) as credentials:
        credentials.revoke(key_id)


@contextmanager
def _credentials(data_dir: Path | None) -> Iterator[Credentials]:
    from leaderboard.installation import open_installation  # noqa: PLC0415 - quick --help
    from leaderboard.settings import load_settings  # noqa: PLC0415 - quick --help
    from leaderboard.store.socket_path import running_store_url  # noqa: PLC0415 - quick --help

    settings = load_settings()
    if settings.redis_url is None:
        url = running_store_url((data_dir or settings.data_dir).absolute() / "store")
        if url is None:
            raise SettingError("no store: set LEADERBOARD_REDIS_URL, or name the --data-dir of a running `serve`")
        settings = replace(settings, redis_url=url)
    lb = open_installation(settings)
    try:
        yield lb.credentials
    finally:
        lb.store.close()
