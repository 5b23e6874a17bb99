"""What a store, an archive and an API hold, as plain data that can be compared.

The bytes are taken apart here once more, by what leaderboard/keys.py, archive/tables.py and the headers in store/lua
say of them, and not by the code of the service: a mistake that it makes in both directions would not show otherwise.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import redis
from redis.client import Pipeline
from sqlalchemy import Row, Table, select

from leaderboard.archive.database import Archive
from tests.client import Client

#: What a rebuild need not bring back: limits, whole answers, what the worker said last.
PASSING = ("rate:", "pace:", "calls:", "answer:", "reopened:", "worker", "boards:deleted")

#: How long a submission's Idempotency-Key is known.
REPLAY_MS = 48 * 3600 * 1000

#: So far a process's clock may be off on a busy machine.
CLOCKS_MS = 10_000


# -- the store -------------------------------------------------------------------------------------------------------


class Kept(NamedTuple):
    """One key."""

    value: Any
    #: None for never.
    expires_ms: int | None


def every_key(raw: redis.Redis, namespace: str = "lb") -> dict[str, Kept]:
    """Every key of an installation, every field of it, and when it expires."""
    keys = list(dict.fromkeys(raw.scan_iter(f"{namespace}:*", count=1000)))
    with raw.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pexpiretime(key).type(key)
        said = pipeline.execute()
        # What has expired since is left out.
        there = [(key, at, kind) for key, at, kind in zip(keys, said[::2], said[1::2], strict=True) if kind != b"none"]
        for key, _, kind in there:
            _ask_for(pipeline, key, kind)
        values = pipeline.execute()
    return {
        key.decode(): Kept(value, at if at >= 0 else None)
        for (key, at, _), value in zip(there, values, strict=True)
        if value is not None
    }


def _ask_for(pipeline: Pipeline, key: bytes, kind: bytes) -> None:
    match kind:
        case b"hash":
            pipeline.hgetall(key)
        case b"zset":
            pipeline.zrange(key, 0, -1, withscores=True)
        case b"set":
            pipeline.smembers(key)
        case b"string":
            pipeline.get(key)
        case b"stream":
            pipeline.xrange(key)
        case _:
            raise AssertionError(f"{key!r} is a {kind!r}")


def lasting(keys: dict[str, Kept], now_ms: int, namespace: str = "lb") -> dict[str, Kept]:
    """What must be the same after a rebuild, in a form in which the same looks the same.

    What ended before `now_ms`, and is only not tidied up yet, is left out.
    """
    home, kept = f"{namespace}:{{0}}:", {}
    for key, (value, expires_ms) in keys.items():
        name = key.removeprefix(home)
        if name.startswith(PASSING):
            continue
        kept[key] = Kept(value, expires_ms)
        if name == "names":
            # JSON of two writers: one escapes a slash and orders members as it likes.
            kept[key] = Kept({player: json.loads(profile) for player, profile in value.items()}, expires_ms)
        elif name == "store":
            # The rest says how far the archive is, and that is another journal now.
            kept[key] = Kept({field: value.get(field) for field in (b"schema", b"partitions")}, expires_ms)
        elif name.startswith(f"{namespace}:identity:"):
            # What follows the player is of the call that took it.
            kept[key] = Kept(value.partition(b";")[0], expires_ms)
        elif name.startswith("attempts:"):
            kept[key] = Kept({one: at for one, at in value.items() if _is_open(at.decode(), now_ms)}, None)
        elif name.startswith("player:"):
            fields = {field: at for field, at in value.items() if not field.startswith(b"s:") or int(at) > now_ms}
            kept[key] = Kept(fields, expires_ms)
        elif name.startswith("replay:"):
            # Each record says itself when it ends; the key only has to outlive them.
            records = [value[at : at + 28] for at in range(0, len(value), 28)]
            ends = {record: int.from_bytes(record[17:23], "big") + REPLAY_MS for record in records}
            assert expires_ms is not None
            assert expires_ms > max(ends.values()) - CLOCKS_MS
            kept[key] = Kept([record for record in records if ends[record] > now_ms], None)
    return {key: one for key, one in kept.items() if one.value}


def assert_same(what: str, before: dict[Any, Any], after: dict[Any, Any]) -> None:
    """Two tables are equal; the message says where they are not."""
    different = {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }
    shown = "\n".join(f"  {key}: {one} → {other}" for key, (one, other) in list(different.items())[:5])
    assert not different, f"{len(different)} {what} differ:\n{shown}"


# -- standings, in both ----------------------------------------------------------------------------------------------


class Placed(NamedTuple):
    """One entry, all numbers in order space: lower is better."""

    player: str
    score: int
    tiebreaks: tuple[int, ...]
    achieved_ms: int
    submissions: int
    #: That of its newest submission.
    newest_ms: int
    metadata: bytes
    #: Of a banned player: it stands in no order.
    hidden: bool = False


Standings = dict[tuple[str, str], list[Placed]]


def stored_standings(raw: redis.Redis, namespace: str = "lb") -> Standings:
    """Every standings of the store, best first; those that are hidden come last, by player."""
    prefix, found = f"{namespace}:{{0}}:entries:", {}
    for key in raw.scan_iter(f"{prefix}*", count=1000):
        board, _, period_id = key.decode().removeprefix(prefix).partition(":")
        entries = raw.hgetall(key)
        definition: Any = raw.hget(f"{namespace}:{{0}}:boards", board)
        tiebreaks = len(json.loads(definition)["tiebreaks"])
        ordered: Any = raw.zrange(f"{namespace}:{{0}}:order:{board}:{period_id}", 0, -1, withscores=True)
        placed = [
            _of_store(member, int(score), bytes(entries.pop(member[7 * (tiebreaks + 1) :])), tiebreaks)
            for member, score in ordered
        ]
        banned = {player for player in entries if raw.hexists(f"{namespace}:{{0}}:player:{player.decode()}", "ban")}
        assert not entries.keys() - banned, f"entries that are nowhere in the order: {sorted(entries)}"
        for player, entry in sorted(entries.items()):
            width = 7 * (tiebreaks + 2)
            score = int.from_bytes(entry[:7], "big") - (1 << 55)
            placed.append(_of_store(entry[7:width] + player, score, entry, tiebreaks)._replace(hidden=True))
        found[board, period_id] = placed
    return found


def _of_store(member: bytes, score: int, entry: bytes, tiebreaks: int) -> Placed:
    width = 7 * (tiebreaks + 2)
    head, rest = entry[:width], entry[width:]
    # The entry says itself where it stands.
    assert head == (score + (1 << 55)).to_bytes(7, "big") + member[: width - 7]
    numbers = _numbers(head)
    submissions = int.from_bytes(rest[:4], "big")
    newest_ms, metadata = numbers[-1], rest[4:]
    if submissions >> 31:
        submissions -= 1 << 31
        (newest_ms,), metadata = _numbers(rest[4:11]), rest[11:]
    return Placed(
        member[width - 7 :].decode(), numbers[0], numbers[1:-1], numbers[-1], submissions, newest_ms, metadata
    )


def archived_standings(archive: Archive) -> Standings:
    """Every standings of the archive, best first, then those that are hidden: sorted here, not by the database."""
    found: defaultdict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    for row in every_row(archive, archive.tables.entries):
        found[row.board, row.period_id].append(row)
    return {
        standings: [_of_archive(row) for row in sorted(rows, key=_place_in_order)] for standings, rows in found.items()
    }


def _place_in_order(row: Row[Any]) -> tuple[bool, bytes]:
    return bool(row.hidden), row.player.encode() if row.hidden else bytes(row.order_key)


def _of_archive(row: Row[Any]) -> Placed:
    player = row.player.encode()
    assert row.order_key.endswith(player)
    numbers = _numbers(row.order_key[: -len(player)])
    newest_ms = numbers[-1] if row.newest_ms is None else row.newest_ms
    return Placed(
        row.player, numbers[0], numbers[1:-1], numbers[-1], row.submissions, newest_ms, row.metadata, bool(row.hidden)
    )


def _numbers(packed: bytes) -> tuple[int, ...]:
    return tuple(int.from_bytes(packed[at : at + 7], "big") - (1 << 55) for at in range(0, len(packed), 7))


# -- the archive -----------------------------------------------------------------------------------------------------


def every_row(archive: Archive, table: Table) -> list[Row[Any]]:
    with archive.read() as connection:
        return list(connection.execute(select(table).order_by(*table.primary_key.columns)))


def every_table(archive: Archive) -> dict[str, list[tuple[Any, ...]]]:
    """The whole archive but for `readers`, which every look at the journal changes."""
    return {
        table.name: [tuple(row) for row in every_row(archive, table)]
        for table in archive.tables.metadata.sorted_tables
        if table is not archive.tables.readers
    }


def assert_archive_is_store(archive: Archive, raw: redis.Redis) -> None:
    """Everything that both hold, compared row by row."""
    tables, home = archive.tables, "lb:{0}:"
    keys, now_ms = every_key(raw), raw.time()[0] * 1000
    kept = {(row.board, row.period_id): row.expires_ms for row in every_row(archive, tables.standings)}
    # What has expired is in the archive alone.
    live = {standings for standings, expires_ms in kept.items() if expires_ms is None or expires_ms > now_ms}
    archived = {standings: entries for standings, entries in archived_standings(archive).items() if standings in live}
    assert_same("standings", archived, stored_standings(raw))

    in_store: dict[tuple[str, str], int | None] = {}
    for key, one in keys.items():
        if key.startswith(f"{home}kept:"):
            board = key.removeprefix(f"{home}kept:")
            for period_id, at in one.value:
                in_store[board, period_id.decode()] = None if at == float("inf") else int(at)
        if key.startswith((f"{home}order:", f"{home}entries:")):
            board, _, period_id = key.removeprefix(home).partition(":")[2].partition(":")
            assert one.expires_ms == kept[board, period_id], key
    assert_same("kept standings", kept, in_store)

    players, sessions = {}, {}
    for key, one in keys.items():
        if not key.startswith(f"{home}player:"):
            continue
        player = key.removeprefix(f"{home}player:")
        fields = {name.decode(): value.decode() for name, value in one.value.items()}
        for name in [name for name in fields if name.startswith("s:")]:
            sessions[player, name] = int(fields.pop(name))
        players[player] = fields | ({"until": str(one.expires_ms)} if one.expires_ms else {})
    assert_same("players", {row.player: _player(row) for row in every_row(archive, tables.players)}, players)
    in_archive = {(row.player, row.session): row.expires_ms for row in every_row(archive, tables.sessions)}
    assert_same("sessions", in_archive, sessions)

    sides = {
        (key.removeprefix(f"{home}friends:"), other.decode()): side.decode()
        for key, one in keys.items()
        if key.startswith(f"{home}friends:")
        for other, side in one.value.items()
    }
    assert_same("friends", {(row.player, row.other): row.side for row in every_row(archive, tables.friends)}, sides)
    blockers = {
        (other.decode(), key.removeprefix(f"{home}blockers:"))
        for key, one in keys.items()
        if key.startswith(f"{home}blockers:")
        for other in one.value
    }
    blocked = {pair for pair, side in sides.items() if side.startswith("blocked;")}
    assert_same("blocks", dict.fromkeys(blocked), dict.fromkeys(blockers))
    open_attempts = {
        (*key.removeprefix(f"{home}attempts:").split(":"), attempt.decode()): packed.decode()
        for key, one in keys.items()
        if key.startswith(f"{home}attempts:")
        for attempt, packed in one.value.items()
    }
    in_archive = {
        (row.board, row.player, row.attempt): f"{row.opened_ms};{row.expires_ms};{row.seed};{row.epoch}"
        for row in every_row(archive, tables.attempts)
        if row.expires_ms > now_ms
    }
    assert_same(
        "attempts",
        in_archive,
        {key: kept for key, kept in open_attempts.items() if _is_open(kept, now_ms)},
    )
    opened = {
        (key.removeprefix(f"{home}attempted:"), player.decode()): packed.decode()
        for key, one in keys.items()
        if key.startswith(f"{home}attempted:")
        for player, packed in one.value.items()
    }
    in_archive = {
        (row.board, row.player): f"{row.since_ms};{row.attempts}" for row in every_row(archive, tables.attempted)
    }
    assert_same("numbers of attempts opened", in_archive, opened)
    devices = {
        key.removeprefix("lb:device:"): one.value.decode() for key, one in keys.items() if key.startswith("lb:device:")
    }
    signed_in = {
        device: row.player for row in every_row(archive, tables.players) for device in (row.device or "").split()
    }
    assert_same("devices", signed_in, devices)
    identities = {
        key: one.value.partition(b";")[0].decode() for key, one in keys.items() if key.startswith("lb:identity:")
    }
    linked = {
        f"lb:identity:{sha256(f'{provider}:{subject}'.encode()).hexdigest()}": row.player
        for row in every_row(archive, tables.players)
        for provider, subject in json.loads(row.identities or "{}").items()
    }
    assert_same("identities", linked, identities)

    reviews = {
        review.decode(): held
        for key, one in keys.items()
        if key.startswith(f"{home}held:")
        for review, held in one.value.items()
    }
    held = {row.review: row.held for row in every_row(archive, tables.reviews) if row.state == "open"}
    assert_same("held submissions", held, reviews)

    boards = {
        key.removeprefix(f"{home}gate:"): {name.decode(): value.decode() for name, value in one.value.items()}
        for key, one in keys.items()
        if key.startswith(f"{home}gate:")
    }
    assert_same("gates", {row.board: _gate(row) for row in every_row(archive, tables.boards)}, boards)
    definitions = {row.board: row.definition for row in every_row(archive, tables.boards) if row.definition}
    stored = keys.get(f"{home}boards", Kept({}, None)).value
    assert_same("definitions", definitions, {one.decode(): definition.decode() for one, definition in stored.items()})
    seasons = {
        (key.removeprefix(f"{home}seasons:"), int(number)): int(started_ms)
        for key, one in keys.items()
        if key.startswith(f"{home}seasons:")
        for number, started_ms in one.value.items()
    }
    begun = {(row.board, row.season): row.started_ms for row in every_row(archive, tables.seasons)}
    assert_same("seasons", begun, seasons)
    stored = keys.get(f"{home}keys", Kept({}, None)).value
    issued = {row.key_id: row.record for row in every_row(archive, tables.keys)}
    assert_same("keys", issued, {key_id.decode(): record.decode() for key_id, record in stored.items()})
    secrets = {row.name: row.value for row in every_row(archive, tables.installation) if row.name == "signing"}
    in_store_now = keys.get(f"{home}signing")
    assert_same("signing secrets", secrets, {"signing": in_store_now.value.decode()} if in_store_now else {})


def _is_open(attempt: str, now_ms: int) -> bool:
    """One that expired goes from the store with the last of its player's on the board, or when it opens another."""
    return int(attempt.split(";")[1]) > now_ms


def _player(row: Row[Any]) -> dict[str, str]:
    """The fields that the store's hash has."""
    columns = {
        "created_at": row.created_ms,
        "display_name": row.display_name,
        "avatar_url": row.avatar_url,
        "country": row.country,
        "platform": row.platform,
        "attributes": row.attributes,
        "device": row.device,
        "identities": row.identities,
        "submissions": row.submissions or None,
        "state": row.state,
        "until": row.erased_until_ms,
        "ban": row.ban,
        "merged": row.merged,
        "absorbs": row.absorbs,
    }
    return {name: str(value) for name, value in columns.items() if value is not None}


def _gate(row: Row[Any]) -> dict[str, str]:
    columns = {
        "revision": row.revision,
        "state": row.state,
        "season": row.season,
        "season_at": row.season_ms,
        "epoch": row.epoch,
        "anchors": row.anchors,
    }
    return {name: str(value) for name, value in columns.items() if value is not None}


def submitted(archive: Archive) -> Counter[str]:
    """How often the archive has each submission, by the `n` of its metadata."""
    rows = every_row(archive, archive.tables.submissions)
    return Counter(json.loads(row.metadata)["n"] for row in rows if row.kind == "submission")


# -- the API ---------------------------------------------------------------------------------------------------------


def everything_shown(api: Client) -> dict[str, Any]:
    """All boards, all their periods, and every page of every standings, as an admin and a server see them."""
    shown: dict[str, Any] = {}
    for state in ("open", "frozen", "archived"):
        for board in walk(api.server, f"/v1/boards?state={state}&", "boards"):
            board_id = board["id"]
            shown[board_id] = api.admin.get(f"/v1/admin/boards/{board_id}")
            for period in board["periods"]:
                kind = period["kind"]
                path = f"/v1/boards/{board_id}/periods?period={kind}&"
                occurrences = list(walk(api.server, path, "periods"))
                shown[f"{board_id} {kind}"] = occurrences
                for one in occurrences:
                    path = f"/v1/boards/{board_id}/standings?period={kind}&period_id={one['period_id']}&"
                    shown[f"{board_id} {one['period_id']}"] = list(pages(api.server, path))
    return shown


def pages(api: Client, path: str, limit: int = 200) -> Iterator[Any]:
    cursor = ""
    while cursor is not None:
        page = api.get(f"{path}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        cursor = page["next_cursor"]
        yield page


def walk(api: Client, path: str, member: str, limit: int = 200) -> Iterator[Any]:
    for page in pages(api, path, limit):
        yield from page[member]


def everything_of_players(api: Client, players: list[str]) -> dict[str, Any]:
    """What a server sees of players: profile, entries, friends, invitations and blocks."""
    shown: dict[str, Any] = {}
    for player in players:
        answer = api.server.call("GET", f"/v1/players/{player}")
        shown[player] = answer.get_json()
        if answer.status_code == 200:
            shown[f"{player} entries"] = list(walk(api.server, f"/v1/players/{player}/entries?", "entries", 100))
            for state in ("friends", "invited", "invitation", "blocked"):
                path = f"/v1/players/{player}/friends?state={state}&"
                shown[f"{player} {state}"] = list(walk(api.server, path, "friends"))
    return shown
