"""`leaderboard keys`: keys made in the store itself, for whoever runs the machine and has no admin key (any more)."""

from __future__ import annotations

from pathlib import Path

import click

from leaderboard.cli.connection import DATA_DIR, connected


@click.group()
def keys() -> None:
    """Keys of admins, servers and read-only callers."""


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "server", "read"]), required=True)
@DATA_DIR
def create(name: str, role: str, data_dir: Path | None) -> None:
    """Make a key called NAME and print it; it cannot be shown again."""
    from leaderboard.audit import by_cli  # noqa: PLC0415 - quick --help
    from leaderboard.credentials import ROLES  # noqa: PLC0415 - quick --help

    with connected(data_dir) as lb:
        lb.claim.check()
        click.echo(lb.credentials.create(name, ROLES[role], by_cli("create_key")).secret)


@keys.command(name="list")
@DATA_DIR
def list_keys(data_dir: Path | None) -> None:
    """Show all keys: id, role, state, name."""
    with connected(data_dir) as lb:
        for key in lb.credentials.list():
            state = "works" if key.revoked_ms is None else "revoked"
            click.echo(f"{key.id}  {key.role.name.lower():6}  {state:7}  {key.name}")


@keys.command()
@click.argument("key_id")
@DATA_DIR
def revoke(key_id: str, data_dir: Path | None) -> None:
    """Stop the key with this id from working."""
    from leaderboard.audit import by_cli  # noqa: PLC0415 - quick --help

    with connected(data_dir) as lb:
        lb.credentials.revoke(key_id, by_cli("revoke_key"))
