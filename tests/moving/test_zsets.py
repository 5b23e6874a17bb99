"""ZSETs are read as they were at one moment, exactly; Podium's are told from what it keeps beside them."""

from __future__ import annotations

import asyncio
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import redis

from leaderboard.moving.foreign import ForeignScore, SourceError
from leaderboard.moving.zsets import ZsetBoard, podium_boards, read_zset
from leaderboard.store.engine import packaged_binary
from tests.faults.proxy import Proxy
from tests.live import eventually, free_port

KEY = "game:kills"


@pytest.fixture
def other(raw: redis.Redis) -> Iterator[redis.Redis]:
    """The other Redis, where everything is the game's own."""
    yield raw
    raw.flushall()


def test_a_zset_is_read_lowest_score_first(other: redis.Redis, store_url: str) -> None:
    other.zadd(KEY, {"neo": 1200, "trinity": -7, "cypher": 1200})
    assert list(read_zset(store_url, KEY)) == [
        ForeignScore(KEY, "trinity", -7, {}, None, b"", None, 1),
        ForeignScore(KEY, "cypher", 1200, {}, None, b"", None, 2),
        ForeignScore(KEY, "neo", 1200, {}, None, b"", None, 3),
    ]
    assert [found.board for found in read_zset(store_url, KEY, board="kills")] == ["kills"] * 3


@pytest.mark.parametrize("players", [1, 999, 1000, 1001, 2500])
def test_every_player_is_read_once_however_many_there_are(other: redis.Redis, store_url: str, players: int) -> None:
    other.zadd(KEY, {f"player-{number}": number % 7 for number in range(players)})
    found = list(read_zset(store_url, KEY))
    expected = sorted((number % 7, f"player-{number}") for number in range(players))
    assert [(score.score, score.player) for score in found] == expected
    assert [score.line for score in found] == list(range(1, players + 1))


@pytest.mark.parametrize("member", [b"", b"\xff\xfe", b"\0", b"a\nb\r\n", "Néo 😀".encode(), b"x" * 100_000, b"\\xff"])
def test_members_may_be_any_bytes(other: redis.Redis, store_url: str, member: bytes) -> None:
    other.zadd(KEY, {member: 1, b"other": 2})
    first, second = read_zset(store_url, KEY)
    assert first.player.encode("utf-8", "surrogateescape") == member
    assert second.player == "other"


def test_a_key_may_be_any_bytes(other: redis.Redis, store_url: str) -> None:
    other.zadd(b"\xff\n", {"neo": 1})
    (found,) = read_zset(store_url, b"\xff\n")
    assert found.board.encode("utf-8", "surrogateescape") == b"\xff\n"


@pytest.mark.parametrize(
    ("score", "decimals", "expected"),
    [
        ("0", 0, 0),
        ("-0", 0, 0),
        ("17.5", 1, Decimal("17.5")),
        ("17.5", 6, Decimal("17.5")),
        # No double is 17.1, but this one is the nearest, so it is what was written.
        ("17.1", 1, Decimal("17.1")),
        ("-0.000001", 6, Decimal("-0.000001")),
        ("999999999999999", 0, 10**15 - 1),
        ("-99999999999999.9", 1, Decimal("-99999999999999.9")),
        ("1e3", 0, 1000),
    ],
)
def test_scores_are_exact_numbers(
    other: redis.Redis, store_url: str, score: str, decimals: int, expected: int | Decimal
) -> None:
    other.execute_command("ZADD", KEY, score, "neo")  # type: ignore[no-untyped-call]
    (found,) = read_zset(store_url, KEY, decimals)
    assert found.score == expected
    assert type(found.score) is type(expected)


@pytest.mark.parametrize(
    ("score", "decimals", "reason"),
    [
        (17.5, 0, "its score is 17.5: the board takes 0 decimal places"),
        (0.1 + 0.2, 1, "its score is 0.30000000000000004: the board takes 1 decimal places"),
        (0.1 + 0.2, 6, "its score is 0.30000000000000004: the board takes 6 decimal places"),
        (1e15, 0, "its score is 1000000000000000.0: the scaled score is beyond the limit of 10^15 - 1"),
        (1e14, 1, "its score is 100000000000000.0: the scaled score is beyond the limit of 10^15 - 1"),
        (2.0**53 + 2, 0, "its score is 9007199254740994.0: the scaled score is beyond the limit of 10^15 - 1"),
        (5e-324, 6, "its score is 5e-324: the board takes 6 decimal places"),
        (math.inf, 0, "its score is infinite"),
        (-math.inf, 0, "its score is infinite"),
    ],
)
def test_a_score_that_would_have_to_be_rounded_is_refused(
    other: redis.Redis, store_url: str, score: float, decimals: int, reason: str
) -> None:
    other.zadd(KEY, {"neo": score})
    with pytest.raises(SourceError) as caught:
        list(read_zset(store_url, KEY, decimals))
    assert str(caught.value).endswith(f" '{KEY}', member 1: 'neo': {reason}")


class Busy(Proxy):
    """Somebody writes to the ZSET before each of the next `writes` times that a part of it is read."""

    def __init__(self, store_url: str, writes: int, write: Callable[[int], object]) -> None:
        super().__init__(store_url)
        self.writes = writes
        self.write = write

    async def _requests(self, reader: asyncio.StreamReader, back: asyncio.StreamWriter, _: asyncio.Event) -> None:
        while data := await reader.read(1 << 20):
            if b"ZRANGE" in data and self.writes:
                self.writes -= 1
                self.write(self.writes)
            back.write(data)
            await back.drain()


def test_a_zset_that_is_written_to_once_is_read_again(other: redis.Redis, store_url: str) -> None:
    other.zadd(KEY, {f"player-{number}": number for number in range(1500)})
    with Busy(store_url, 3, lambda number: other.zincrby(KEY, 5000, f"player-{number}")) as busy:
        found = list(read_zset(busy.url, KEY))
    # The three overtook the reading: player-0 was read with its old score, then in its new place.
    assert busy.writes == 0
    assert [(score.player, score.score) for score in found[-4:]] == [
        ("player-1499", 1499),
        ("player-0", 5000),
        ("player-1", 5001),
        ("player-2", 5002),
    ]
    assert len(found) == 1500


def test_of_what_was_read_before_a_write_nothing_is_left(other: redis.Redis, store_url: str) -> None:
    other.zadd(KEY, {f"player-{number}": number for number in range(1500)})
    # Before its second half is read, most of it goes.
    with Busy(store_url, 2, lambda left: left or other.zremrangebyrank(KEY, 0, 1497)) as busy:
        found = list(read_zset(busy.url, KEY))
    assert [(score.player, score.line) for score in found] == [("player-1498", 1), ("player-1499", 2)]


def test_a_zset_that_never_stands_still_is_refused_before_any_score_is_given_out(
    other: redis.Redis, store_url: str
) -> None:
    other.zadd(KEY, {"player-0": 1, "player-1": 2})
    with (
        Busy(store_url, 1000, lambda number: other.zadd(KEY, {"player-0": number})) as busy,
        pytest.raises(SourceError, match="written to while it is read"),
    ):
        next(read_zset(busy.url, KEY))


def test_what_cannot_be_read_is_said_without_the_password(other: redis.Redis, store_url: str) -> None:
    other.set("text", "1")
    for url, key, reason in (
        (store_url, "none", "there is no such ZSET"),
        (store_url, "text", "cannot be read: .*WRONGTYPE|cannot be read: Operation against a key"),
        ("redis://:secret@127.0.0.1:1/0", KEY, "^redis://127.0.0.1:1/0 'game:kills': cannot be read: "),
        ("127.0.0.1:6379", KEY, "not the address of a Redis"),
    ):
        with pytest.raises(SourceError, match=reason) as caught:
            list(read_zset(url, key))
        assert "secret" not in str(caught.value)


def test_the_boards_of_podium_are_told_from_what_is_beside_them(other: redis.Redis, store_url: str) -> None:
    """As Podium writes them: PUT /l/<board>/members/<member>/score, with and without scoreTTL."""
    expires = 1_900_000_000
    other.zadd("kills", {"neo": 1200, "trinity": 900})
    other.zadd("kills-year2026week47", {"neo": 3})
    other.pexpire("kills-year2026week47", 1_209_600_000)
    other.zadd("daily", {"neo": 3, "cypher": 4, "tank": 5})
    other.zadd("daily:ttl", {"neo": expires, "cypher": expires})
    # All its scores have expired, its `:ttl` is about to.
    other.zadd("gone:ttl", {"neo": expires})
    other.sadd("expiration-sets", "daily:ttl", "gone:ttl")
    # Nobody's companion, but somebody's name.
    other.zadd("throttle:ttl", {"neo": 1})
    other.set("leaderboards-enrich-caching:tenant:neo", '{"name":"Neo"}', ex=3600)
    other.hset("session", mapping={"a": "b"})
    found = podium_boards(store_url)
    assert [(board.key, board.players, board.expiring_players) for board in found] == [
        (b"daily", 3, 2),
        (b"kills", 2, 0),
        (b"kills-year2026week47", 1, 0),
        (b"throttle:ttl", 1, 0),
    ]
    expiries = {board.key: board.expires_in_ms for board in found}
    assert 0 < (expiries.pop(b"kills-year2026week47") or 0) <= 1_209_600_000
    assert set(expiries.values()) == {None}
    assert [score.player for score in read_zset(store_url, found[0].key)] == ["neo", "cypher", "tank"]


def test_a_redis_without_zsets_has_no_boards(other: redis.Redis, store_url: str) -> None:
    assert podium_boards(store_url) == []
    other.set("expiration-sets", "not Podium's")
    other.zadd("a", {"neo": 1})
    assert podium_boards(store_url) == [ZsetBoard(b"a", 1, 0, None)]


def test_more_keys_than_are_read_at_once_are_all_found(other: redis.Redis, store_url: str) -> None:
    pipeline = other.pipeline()
    for number in range(2500):
        pipeline.zadd(f"board-{number:04}", {"neo": number})
    pipeline.execute()
    assert [board.key for board in podium_boards(store_url)] == [b"board-%04d" % number for number in range(2500)]


@pytest.fixture
def node() -> Iterator[str]:
    """A node of a cluster that has no slots yet."""
    folder = Path(tempfile.mkdtemp(prefix="lb-node-"))
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary())
    options = f"--port 0 --unixsocket {folder}/s --dir {folder} --cluster-enabled yes --cluster-port {free_port()}"
    with subprocess.Popen([binary, *options.split()], stdout=subprocess.DEVNULL) as process:
        try:
            eventually((folder / "s").exists, "the node listens")
            yield f"unix://{folder}/s"
        finally:
            process.terminate()
    shutil.rmtree(folder)


def test_the_boards_of_a_cluster_are_not_told_from_one_of_its_nodes(node: str) -> None:
    with pytest.raises(SourceError, match="a node of a cluster; read its boards one by one"):
        podium_boards(node)
    with pytest.raises(SourceError, match=r"cannot be read: .*[Hh]ash slot not served"):
        list(read_zset(node, KEY))
