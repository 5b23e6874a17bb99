"""Scores from plain ZSETs of another Redis: a game's own, or Podium's.

A ZSET is read by ZRANGE in chunks, by index, into a temporary file, and given out only when a WATCH says that nothing
wrote to it meanwhile: what comes out is one state of it, each player once, in an order that a second reading repeats.
ZSCAN needs no quiet ZSET and misses nobody who is there all the while, but may give a player twice, with two scores,
which a board that sums would add up; and its order is no place to go on from. Under writes chunks by index alone would
miss whoever is overtaken by the reading, silently.

Podium (topfreegames/podium: leaderboard/database/redis.go, redis_expiration.go, leaderboard/enriching/cache/cache.go)
keeps each of its boards in a ZSET whose key is the board's name and nothing else, without a prefix: member → score, an
int64 as a double, whichever way it is then asked to order them. Scores with a time to live stand once more in
`<name>:ttl`, by the second in which they expire, and the keys of these are in the set `expiration-sets`. Seasons are
names with a suffix (`kills-year2026week47`), whose keys expire. What else it keeps (`leaderboards-enrich-caching:…`)
are texts that somebody else knows better.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from math import isinf
from typing import IO, Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.exceptions import MovedError, RedisError, WatchError
from redis.retry import Retry

from leaderboard.errors import Problem
from leaderboard.moving import values
from leaderboard.moving.foreign import ForeignScore, SourceError
from leaderboard.moving.values import Refuse, WrongValue
from leaderboard.scores import scale

#: Members read at once.
_CHUNK = 1000
#: How often a ZSET is read that somebody writes to. One that is written to now and then stands still for long enough.
_TRIES = 3
#: Bytes of it that are kept in memory.
_IN_MEMORY = 16 << 20
_TIMEOUT_S = 30

_ENTRY = struct.Struct(">dI")

_TTL_SUFFIX = b":ttl"
_TTL_KEYS = "expiration-sets"


@dataclass(frozen=True, slots=True)
class ZsetBoard:
    """A ZSET that may be a board of Podium's."""

    key: bytes
    players: int
    #: Players whose scores expire, each at its own time, which nothing here does.
    expiring_players: int
    #: When the whole key expires; None for never.
    expires_in_ms: int | None


def read_zset(
    url: str,
    key: str | bytes,
    decimals: int = 0,
    board: str | None = None,
    *,
    highest_first: bool = False,
    refuse: Refuse | None = None,
) -> Iterator[ForeignScore]:
    """Read the ZSET at `key`, lowest score first or highest, into a board with that many decimals (named like the key).

    ZSET scores are doubles. One counts as exact if it is the double nearest to a decimal with at most `decimals`
    places, as it is if a game wrote 17.1; 0.1 + 0.2 is not. Raises SourceError, also when it does not stand still;
    members are left out where `refuse` takes it.
    """
    name = place_of(url, key)
    board = board if board is not None else _text(key)
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as file:
        with _connected(url, name) as client:
            _snapshot(client, key, name, file, highest_first=highest_first)
        for line, (player, score) in enumerate(_entries(file), start=1):
            found = None
            with values.standing_at(name, line, "member", refuse):
                found = ForeignScore(board, _text(player), _exact(player, score, decimals), {}, None, b"", None, line)
            if found:
                yield found


def podium_boards(url: str) -> list[ZsetBoard]:
    """Every ZSET that may be a board of Podium's, by key: those that are not the `:ttl` beside another.

    Podium marks its keys in no way, so ZSETs of others are among them. Walks the whole key space once. Raises
    SourceError, also for a cluster, where each node has some of the keys, and what belongs together may be on two.
    """
    name = place_of(url)
    with _connected(url, name) as client:
        if client.info("cluster").get("cluster_enabled"):
            raise SourceError(name, None, "a node of a cluster; read its boards one by one, by their keys")
        found: set[bytes] = set()
        for keys in _chunks(client.scan_iter(count=_CHUNK)):
            kinds = _ask(client, [("TYPE", key) for key in keys])
            found.update(key for key, kind in zip(keys, kinds, strict=True) if kind == b"zset")
        companions = {key + _TTL_SUFFIX for key in found}
        if client.type(_TTL_KEYS) == b"set":
            companions.update(client.smembers(_TTL_KEYS))
        boards = (_board(client, key, key + _TTL_SUFFIX in found) for key in sorted(found - companions))
        # One that expired in between has no players.
        return [board for board in boards if board.players]


def _board(client: Any, key: bytes, has_ttls: bool) -> ZsetBoard:
    players, ttl_ms, *expiring = _ask(
        client, [("ZCARD", key), ("PTTL", key), *([("ZCARD", key + _TTL_SUFFIX)] if has_ttls else [])]
    )
    return ZsetBoard(key, players, expiring[0] if expiring else 0, ttl_ms if ttl_ms >= 0 else None)


@contextmanager
def _connected(url: str, name: str) -> Iterator[Any]:
    try:
        client = redis.Redis.from_url(
            url,
            protocol=2,
            legacy_responses=False,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
    except ValueError as error:
        raise SourceError(name, None, f"not the address of a Redis: {error}") from error
    with client:
        try:
            yield client
        except MovedError as error:
            at = f"{error.host}:{error.port}"
            raise SourceError(name, None, f"the key is on another node of the cluster; read it from {at}") from error
        except RedisError as error:
            raise SourceError(name, None, f"cannot be read: {error}") from error


def place_of(url: str, key: str | bytes | None = None) -> str:
    """The address for messages: nothing in it that is secret."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    place = f"{parts.scheme}://{host}{parts.path}"
    return place if key is None else f"{place} {values.shown(_text(key))}"


def _text(raw: str | bytes) -> str:
    """Bytes of any kind as text, each its own: what is not UTF-8 becomes lone surrogates."""
    return raw if isinstance(raw, str) else raw.decode("utf-8", "surrogateescape")


def _ask(client: Any, commands: list[tuple[str, bytes]]) -> list[Any]:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    replies: list[Any] = pipeline.execute()
    return replies


def _chunks(keys: Iterator[bytes]) -> Iterator[list[bytes]]:
    while chunk := list(islice(keys, _CHUNK)):
        yield chunk


def _snapshot(client: Any, key: str | bytes, name: str, file: IO[bytes], *, highest_first: bool) -> None:
    """Write the ZSET as it was at one moment into the file."""
    for _ in range(_TRIES):
        file.seek(0)
        file.truncate()
        with client.pipeline() as pipeline:
            pipeline.watch(key)
            count = pipeline.zcard(key)
            if not count:
                raise SourceError(name, None, "there is no such ZSET")
            for at in range(0, count, _CHUNK):
                for player, score in pipeline.zrange(key, at, at + _CHUNK - 1, desc=highest_first, withscores=True):
                    file.write(_ENTRY.pack(score, len(player)) + player)
            pipeline.multi()
            pipeline.zcard(key)
            with suppress(WatchError):
                pipeline.execute()
                return
    raise SourceError(name, None, "it is written to while it is read; stop that, or read a copy of it (COPY)")


def _entries(file: IO[bytes]) -> Iterator[tuple[bytes, float]]:
    file.seek(0)
    while head := file.read(_ENTRY.size):
        score, length = _ENTRY.unpack(head)
        yield file.read(length), score


def _exact(player: bytes, score: float, decimals: int) -> int | Decimal:
    if isinf(score):
        raise WrongValue(f"{values.shown(_text(player))}: its score is infinite")
    # Of the decimals that a double stands for, repr() gives the shortest. Up to fifteen digits that is the one written.
    exact = Decimal(repr(score))
    try:
        scale(exact, decimals)
    except Problem as problem:
        raise WrongValue(f"{values.shown(_text(player))}: its score is {score!r}: {problem.detail}") from problem
    return int(exact) if exact == exact.to_integral_value() else exact
