"""`leaderboard keys`: keys made in the store itself, for whoever runs the machine and has no admin key (any more)."""

from __future__ import annotations

from pathlib import Path

import click

from leaderboard.cli.connection import DATA_DIR, connected

_DAY_MS = 24 * 3600 * 1000


@click.group()
def keys() -> None:
    """Keys of admins, servers and read-only callers.

    A service that runs notices within half a second. What is done here is in the audit, by `cli`.
    """


@keys.command()
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "server", "read"]), required=True)
@click.option("--scope", "scopes", multiple=True, help="What an admin key may do; repeat it for more.  [default: all]")
@click.option("--days", type=click.IntRange(1, 36_500), help="How long it works.  [default: for ever]")
@DATA_DIR
def create(name: str, role: str, scopes: tuple[str, ...], days: int | None, data_dir: Path | None) -> None:
    """Make a key called NAME and print it; it cannot be shown again."""
    from leaderboard.audit import by_cli  # noqa: PLC0415 - quick --help
    from leaderboard.callers import ALL_SCOPES, Scope  # noqa: PLC0415 - quick --help
    from leaderboard.credentials import ROLES  # noqa: PLC0415 - quick --help

    unknown = sorted(set(scopes) - ALL_SCOPES)
    if unknown:
        raise click.UsageError(f"--scope {unknown[0]}: there are {', '.join(Scope)}")
    if scopes and role != "admin":
        raise click.UsageError("--scope is for keys of role admin")
    with connected(data_dir) as lb:
        lb.claim.check()
    with connected(data_dir, durably=False) as lb:
        issued = lb.credentials.create(
            name,
            ROLES[role],
            by_cli("create_key"),
            scopes=frozenset(map(Scope, scopes)) if scopes else None,
            expires_ms=lb.clock.now_ms() + days * _DAY_MS if days else None,
        )
        click.echo(issued.secret)


@keys.command(name="list")
@DATA_DIR
def list_keys(data_dir: Path | None) -> None:
    """Show all keys: id, role, state, name, the end of the secret, and the scopes of those that have not all."""
    from leaderboard.callers import ALL_SCOPES, Role  # noqa: PLC0415 - quick --help

    with connected(data_dir) as lb:
        now = lb.clock.now_ms()
        for key in lb.credentials.list():
            state = "works" if key.works_at(now) else "expired" if key.revoked_ms is None else "revoked"
            some = key.role is Role.ADMIN and key.scopes != ALL_SCOPES
            scopes = f"  ({', '.join(sorted(key.scopes))})" if some else ""
            click.echo(f"{key.id}  {key.role.name.lower():6}  {state:7}  {key.name}  …{key.ends_with}{scopes}")


@keys.command()
@click.argument("key_id")
@click.option(
    "--overlap-s",
    type=click.IntRange(0, 30 * 24 * 3600),
    default=24 * 3600,
    show_default=True,
    help="How long the secret it had goes on working.",
)
@DATA_DIR
def rotate(key_id: str, overlap_s: int, data_dir: Path | None) -> None:
    """Give the key with this id a new secret and print it; it cannot be shown again."""
    from leaderboard.audit import by_cli  # noqa: PLC0415 - quick --help

    with connected(data_dir, durably=False) as lb:
        click.echo(lb.credentials.rotate(key_id, overlap_s, by_cli("rotate_key")).secret)


@keys.command()
@click.argument("key_id")
@DATA_DIR
def revoke(key_id: str, data_dir: Path | None) -> None:
    """Stop the key with this id from working."""
    from leaderboard.audit import by_cli  # noqa: PLC0415 - quick --help

    with connected(data_dir) as lb:
        lb.credentials.revoke(key_id, by_cli("revoke_key"))
