"""`leaderboard boards`: definitions from a file, applied over HTTP like anybody's."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from leaderboard.errors import LeaderboardError


class ApplyError(LeaderboardError):
    """A file or an answer that keeps boards from being applied."""


@click.group()
def boards() -> None:
    """Board definitions."""


@boards.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--url", default="http://127.0.0.1:8000", show_default=True, envvar="LEADERBOARD_URL")
@click.option("--key", envvar="LEADERBOARD_ADMIN_KEY", help="An admin key.  [default: LEADERBOARD_ADMIN_KEY]")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--prune", is_flag=True, help="Archive the boards that the file does not name.")
def apply(file: Path, url: str, key: str | None, *, dry_run: bool, prune: bool) -> None:
    """Define the boards of a TOML or JSON FILE.

    \b
    [defaults]             # for every board of the file
    policy = "best"
    [boards.main]
    title = "Main"
    """
    import httpx  # noqa: PLC0415 - quick --help

    if key is None:
        raise ApplyError("an admin key is needed: --key, or LEADERBOARD_ADMIN_KEY")
    definitions = read_definitions(file)
    headers = {"Authorization": f"Bearer {key}"}
    failed = 0
    try:
        with httpx.Client(base_url=url, headers=headers, timeout=30) as http:
            if prune:
                definitions |= {
                    board["id"]: _archived(http, board["id"])
                    for board in _existing(http)
                    if board["id"] not in definitions
                }
            # All is tried before anything is changed: a mistake at the end must not leave half a file applied.
            for board, definition in definitions.items():
                failed += not _show_change(http, board, definition)
            if failed:
                raise ApplyError(f"{failed} of {len(definitions)} boards cannot be defined so; nothing was changed")
            if not dry_run:
                for board, definition in definitions.items():
                    _read(http.put(f"/v1/admin/boards/{board}", json=definition))
                click.echo(f"{len(definitions)} boards applied")
    except httpx.HTTPError as error:
        raise ApplyError(f"{url}: {error}") from error


def read_definitions(file: Path) -> dict[str, dict[str, Any]]:
    """Board id → definition, with the file's defaults in each. Raises ApplyError for a file of another form."""
    try:
        text = file.read_text("utf-8")
        data = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        # TOML has instants and infinities, which a definition cannot hold.
        json.dumps(data, allow_nan=False)
    except (OSError, ValueError, TypeError) as error:
        raise ApplyError(f"{file}: {error}") from error
    tables = [data, data.get("defaults", {}), data.get("boards", {})] if isinstance(data, dict) else [data]
    if all(isinstance(table, dict) for table in tables):
        tables += data.get("boards", {}).values()
    if not all(isinstance(table, dict) for table in tables) or set(data) - {"defaults", "boards"}:
        raise ApplyError(f"{file}: it holds a table `boards`, and `defaults` if need be, and nothing else")
    defaults, boards = data.get("defaults", {}), data.get("boards", {})
    return {board: defaults | definition for board, definition in boards.items()}


def _existing(http: Any) -> Iterator[dict[str, Any]]:
    for state in ("open", "frozen"):
        cursor = ""
        while cursor is not None:
            page = _read(http.get(f"/v1/boards?limit=200&state={state}" + (f"&cursor={cursor}" if cursor else "")))
            yield from page["boards"]
            cursor = page["next_cursor"]


def _archived(http: Any, board: str) -> dict[str, Any]:
    definition = _read(http.get(f"/v1/admin/boards/{board}"))
    return {name: value for name, value in definition.items() if name not in ("id", "current")} | {"state": "archived"}


def _show_change(http: Any, board: str, definition: dict[str, Any]) -> bool:
    """Print what defining a board would change; False when it is refused."""
    response = http.put(f"/v1/admin/boards/{board}?dry_run=true", json=definition)
    if response.is_client_error and response.status_code not in (401, 403):
        detail, errors = _problem(response)
        click.echo(f"! {board}: {detail}")
        for error in errors:
            click.echo(f"    {error['pointer']}: {error['detail']}")
        return False
    answer = _read(response)
    mark = {"create": "+", "change": "~", "nothing": "="}[answer["action"]]
    click.echo(f"{mark} {board}")
    for change in answer["changes"] if answer["action"] == "change" else []:
        click.echo(f"    {change['member']}: {_short(change['before'])} → {_short(change['after'])}")
    return True


def _short(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _read(response: Any) -> Any:
    if response.is_error:
        detail, _ = _problem(response)
        raise ApplyError(f"{response.request.method} {response.request.url}: {response.status_code} {detail}")
    return response.json()


def _problem(response: Any) -> tuple[str, list[dict[str, str]]]:
    """What a failure says, also when it is not the service that answers."""
    try:
        problem = response.json()
        return problem["detail"], problem.get("errors", [])
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.text[:200].strip()}", []
