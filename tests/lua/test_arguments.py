"""The primitives of the function library: numbers as bytes, the order of bytes, and how many come before a place."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from bisect import bisect_left
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from leaderboard.entries import place_of, score_of
from leaderboard.model import Board, Tiebreak
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import packaged_binary
from leaderboard.store.library import FILES
from tests.calls import unchanged
from tests.client import Client

LIMIT = 10**15 - 1
FIRST_OLYMPICS_MS = -2_327_184_000_000  # 1896-04-03
MAY_1916_MS = -1_693_000_000_000

#: Exposes what the library keeps to itself. Numbers come and go as text, as in every call of the service.
PROBES = """
local function probe(name, callback) redis.register_function('probe_' .. name, callback) end
probe('pack', function(keys, args) return pack_number(tonumber(args[1])) end)
probe('unpack', function(keys, args) return number_text(unpack_number(args[1], 1)) end)
probe('text', function(keys, args) return number_text(tonumber(args[1])) end)
probe('less', function(keys, args) return bytes_less(args[1], args[2]) and 1 or 0 end)
probe('lua_less', function(keys, args) return args[1] < args[2] and 1 or 0 end)
probe('before', function(keys, args)
  local reply = {}
  for i = 2, #args do reply[i - 1] = count_before(keys[1], tonumber(args[1]), args[i]) end
  return reply
end)
probe('entry', function(keys, args)
  local prefix = make_prefix({tonumber(args[2]), tonumber(args[3])}, tonumber(args[4]))
  local bytes = encode_head({score = tonumber(args[1]), prefix = prefix, achieved = tonumber(args[4]),
    newest = tonumber(args[5]), submissions = tonumber(args[6]), metadata = args[7]}) .. args[7]
  local entry = decode_entry(bytes, 2)
  return {bytes, number_text(entry.score), entry.prefix, number_text(entry.achieved), number_text(entry.newest),
    entry.submissions, entry.metadata}
end)
"""


@pytest.fixture
def probe(raw: redis.Redis) -> Iterator[Any]:
    """Calls a probe: `probe(name, *args, keys=())`."""
    yield load_probes(raw)
    raw.function_delete("probes")


def load_probes(raw: redis.Redis) -> Any:
    folder = resources.files("leaderboard.store") / "lua"
    pieces = [(folder / f"{name}.lua").read_text("utf-8") for name in ("prelude", "order", "entry")]
    raw.function_load("\n".join(["#!lua name=probes", *pieces, PROBES]), replace=True)

    def call(name: str, *args: Any, keys: tuple[str, ...] = ()) -> Any:
        return raw.fcall(f"probe_{name}", len(keys), *keys, *args)

    return call


EDGES = sorted(
    {
        sign * (base + step)
        for base in (0, 1, 2**8, 2**16, 2**31, 2**32, 2**33, 2**48, 10**14, LIMIT, 2**53 - 1)
        for step in (-1, 0, 1)
        for sign in (1, -1)
        if abs(base + step) < 2**53
    }
    | {FIRST_OLYMPICS_MS, MAY_1916_MS}
)


def packed(number: int) -> bytes:
    return (number + 2**55).to_bytes(7, "big")


def test_a_number_is_the_same_after_packing_at_every_edge(probe: Any) -> None:
    for number in EDGES:
        assert probe("pack", number) == packed(number), number
        assert probe("unpack", packed(number)) == b"%d" % number


def test_packed_numbers_are_in_the_order_of_the_numbers(probe: Any) -> None:
    rng = random.Random(3)
    numbers = sorted({*EDGES, *(rng.randint(-(2**53) + 1, 2**53 - 1) for _ in range(300))})
    assert sorted(numbers, key=lambda number: probe("pack", number)) == numbers


def test_numbers_are_written_in_full_and_minus_zero_is_zero(probe: Any) -> None:
    for number in EDGES:
        assert probe("text", number) == b"%d" % number
    for zero in ("-0", "-0.0", "0e5"):
        assert probe("text", zero) == b"0"
        assert probe("pack", zero) == packed(0)


# The probes are the same for all examples, so that one function-scoped fixture serves them.
@examples(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(a=st.binary(max_size=12), b=st.binary(max_size=12))
def test_bytes_are_compared_as_bytes(probe: Any, a: bytes, b: bytes) -> None:
    assert probe("less", a, b) == int(a < b)
    assert probe("less", a, a + b) == int(b != b"")
    assert probe("less", a, a) == 0


@pytest.fixture
def collating(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A store whose strings collate as English does, which few machines have but any can make."""
    name, localedef = "en_US.UTF-8", shutil.which("localedef")
    if localedef is None:
        pytest.skip("there is no localedef to make a locale with")
    made = subprocess.run(
        [localedef, "-i", "en_US", "-f", "UTF-8", str(tmp_path / name)], capture_output=True, check=False
    )
    if not (tmp_path / name).exists():
        pytest.skip(f"localedef cannot make a locale here: {made.stderr.decode()[-200:]}")
    monkeypatch.setenv("LOCPATH", str(tmp_path))
    folder = Path(tempfile.mkdtemp(prefix="lb-locale-"))
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary())
    with (
        EmbeddedStore(Settings(data_dir=folder, store_binary=binary)) as store,
        redis.Redis.from_url(store.url) as client,
    ):
        try:
            client.config_set("locale-collate", name)
        except redis.ResponseError:
            pytest.skip("this store takes its locale from the environment only")
        yield client
    shutil.rmtree(folder)


def test_bytes_are_compared_as_bytes_whatever_the_locale(collating: redis.Redis) -> None:
    probe = load_probes(collating)
    assert probe("lua_less", "a", "B") == 1, "the locale has no effect, so this would test nothing"
    assert probe("less", "a", "B") == 0
    rng = random.Random(5)
    for _ in range(300):
        a, b = rng.randbytes(4), rng.randbytes(4)
        assert probe("less", a, b) == int(a < b)


@pytest.mark.parametrize("equal", [0, 1, 2, 3, 1000])
def test_the_number_before_a_place_is_exact_among_equal_scores(probe: Any, raw: redis.Redis, equal: int) -> None:
    rng = random.Random(equal)
    key, score = "lb:{0}:order:main:all", -500
    members = sorted({rng.randbytes(14) for _ in range(equal)})
    better, worse = {b"b%d" % i: score - 1 for i in range(7)}, {b"w%d" % i: score + 1 for i in range(5)}
    raw.zadd(key, better | worse | dict.fromkeys(members, score))
    # Each member, the places just before and after it, every kind of prefix, and both ends.
    places = [
        b"", b"\0", b"\xff" * 20,
        *members[:: max(1, equal // 100)],
        *(member[:7] for member in members[:50]),
        *(member + b"\0" for member in members[:50]),
        *(member[:-1] for member in members[:50]),
        *(rng.randbytes(rng.randrange(1, 16)) for _ in range(50)),
    ]  # fmt: skip
    expected = [7 + bisect_left(members, place) for place in places]
    assert probe("before", score, *places, keys=(key,)) == expected
    # With the bytes of a member, that is its index.
    for member in members[:20]:
        assert probe("before", score, member, keys=(key,)) == [raw.zrank(key, member)]


def test_the_number_before_a_score_at_the_limits_is_exact(probe: Any, raw: redis.Redis) -> None:
    key = "lb:{0}:order:main:all"
    scores = [-LIMIT, -LIMIT + 1, -1, 0, 1, LIMIT - 1, LIMIT]
    raw.zadd(key, {b"m%d" % i: score for i, score in enumerate(scores)})
    for index, score in enumerate(scores):
        assert probe("before", score, b"", keys=(key,)) == [index]
        assert probe("before", score, b"\xff", keys=(key,)) == [index + 1]


@pytest.mark.parametrize("submissions", [1, 2, 2**31 - 1])
@pytest.mark.parametrize("metadata", [b"", b'{"a":1}', b"\x80\xff" * 512])
@pytest.mark.parametrize("newest_later_ms", [0, 1, 10**12])
def test_an_entry_is_the_same_after_packing(
    probe: Any, submissions: int, metadata: bytes, newest_later_ms: int
) -> None:
    board = Board("main", tiebreaks=(Tiebreak("a"), Tiebreak("b")))
    for score, first, second, achieved in (
        (-LIMIT, LIMIT, -LIMIT, MAY_1916_MS),
        (LIMIT, 0, -1, 0),
        (0, -LIMIT, LIMIT, 253_402_300_799_999),
    ):
        newest = achieved + newest_later_ms
        packed_entry, *read = probe("entry", score, first, second, achieved, newest, submissions, metadata)
        prefix = packed(first) + packed(second) + packed(achieved)
        assert read == [b"%d" % score, prefix, b"%d" % achieved, b"%d" % newest, submissions, metadata]
        # Python reads the same bytes.
        assert score_of(packed_entry) == score
        assert place_of(board, "alice", packed_entry) == (score, prefix + b"alice")
        assert packed_entry.endswith(metadata)


def test_tiebreaks_at_their_limits_order_equal_scores(api: Client) -> None:
    api.define("main", tiebreaks=[{"name": "wins"}, {"name": "losses", "order": "asc"}], periods=[{"kind": "alltime"}])
    # rank  player  wins     losses
    #    1  a       LIMIT    -LIMIT
    #    2  b       LIMIT     LIMIT
    #    3  c       0         0
    #    4  d       -LIMIT   -LIMIT
    #    5  e       -LIMIT    LIMIT
    rows = [("a", LIMIT, -LIMIT), ("b", LIMIT, LIMIT), ("c", 0, 0), ("d", -LIMIT, -LIMIT), ("e", -LIMIT, LIMIT)]
    for player, wins, losses in random.Random(1).sample(rows, len(rows)):
        api.submit(player, 7, tiebreaks={"wins": wins, "losses": losses})
    entries = api.get("/v1/boards/main/standings")["entries"]
    assert [(e["player"]["id"], e["tiebreaks"]["wins"], e["tiebreaks"]["losses"]) for e in entries] == rows


def test_instants_before_1970_are_in_order(api: Client) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    rows = [("a", "1896-04-06T00:00:00.000Z"), ("b", "1916-05-01T12:00:00.001Z"), ("c", "1969-12-31T23:59:59.999Z")]
    rows += [("d", "1970-01-01T00:00:00.000Z"), ("e", "1970-01-01T00:00:00.001Z")]
    for player, achieved in reversed(rows):
        body = {"score": 5, "achieved_at": achieved, "reason": "history"}
        api.admin.put(f"/v1/admin/boards/main/entries/{player}", body)
    entries = api.get("/v1/boards/main/standings")["entries"]
    assert [(entry["player"]["id"], entry["achieved_at"]) for entry in entries] == rows


def test_a_thousand_equal_scores_are_paged_without_a_gap_or_a_repeat(api: Client, raw: redis.Redis) -> None:
    api.define("main", periods=[{"kind": "alltime"}])
    players = [f"p{i:03}" for i in random.Random(2).sample(range(1000), 1000)]
    items = [{"board": "main", "player": player, "score": 5} for player in players]
    api.server.post("/v1/submissions/batch", {"submissions": items})
    # All in the same millisecond, so the ids decide, by bytes.
    forward = list(walk(api, "next_cursor", ""))
    assert [player for _, player in forward] == sorted(players)
    assert [rank for rank, _ in forward] == list(range(1, 1001))
    backward = list(walk(api, "prev_cursor", "&offset=937"))
    assert backward[0][0] == 938
    for player in ("p000", "p500", "p999"):
        rank = 1 + sorted(players).index(player)
        assert api.get(f"/v1/boards/main/standings/{player}")["entry"]["rank"] == rank
        assert [e["rank"] for e in api.get(f"/v1/boards/main/standings/{player}/around?limit=1")["entries"]] == [rank]


def walk(api: Client, direction: str, start: str) -> Iterator[tuple[int, str]]:
    path = f"/v1/boards/main/standings?limit=63{start}"
    while True:
        page = api.get(path)
        yield from ((entry["rank"], entry["player"]["id"]) for entry in page["entries"])
        if page[direction] is None:
            return
        path = f"/v1/boards/main/standings?limit=63&cursor={page[direction]}"


@pytest.mark.parametrize(
    "args", [("x", "0" * 64), (1, ""), (1, "0" * 63), (1, "0" * 65), (1, "0" * 63 + "G"), (1, "é" * 32)]
)
def test_a_signing_secret_that_is_none_is_not_kept(app: Flask, api: Client, raw: redis.Redis, args: Any) -> None:
    api.define("main")
    lb = app.extensions["leaderboard"]
    with unchanged(raw), pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
        lb.store.change("keep_signing_secret", [lb.keys.signing], args)


#: What a call of open_attempt is given.
OPENS = ["alice", 1000, "", "", 1, 1, "", "", "a" * 24, 7, 61_000, "", 0, "main"]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (1, ""), (1, "-1"), (1, "1.5"), (1, "now"), (8, ""), (8, "a:b"), (8, "a;b"), (8, "é"), (9, ""), (9, "-7"),
        (9, "7.0"), (9, "7;8"), (10, ""), (10, "1e9"), (12, ""), (12, "all"), (13, None),
    ],
)  # fmt: skip
def test_an_attempt_that_is_none_is_not_kept(app: Flask, api: Client, raw: redis.Redis, at: int, value: Any) -> None:
    api.define("main", rules={"attempts": {}})
    lb = app.extensions["leaderboard"]
    keys = [
        lb.keys.player("alice"), lb.keys.gate("main"), lb.keys.maintenance, lb.keys.player_rate("alice"),
        lb.keys.attempts("main", "alice"), lb.keys.attempted("main"),
    ]  # fmt: skip
    args = [*OPENS[:at], *([] if value is None else [value]), *OPENS[at + 1 :]]
    with unchanged(raw):
        with pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
            lb.store.change("open_attempt", keys, args)
        with pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
            lb.store.change("open_attempt", keys[:5], OPENS)
    assert lb.store.change("open_attempt", keys, OPENS) == [b"opened", -1]


def test_a_signing_secret_is_kept_once_and_never_replaced(app: Flask, api: Client, raw: redis.Redis) -> None:
    api.define("main")
    lb = app.extensions["leaderboard"]
    before = raw.xlen(lb.keys.journal)
    for secret in ("a" * 64, "b" * 64):
        assert lb.store.change("keep_signing_secret", [lb.keys.signing], (1, secret)) == [b"a" * 64]
    assert raw.xlen(lb.keys.journal) == before + 1


@pytest.mark.parametrize(
    ("name", "keys", "right"),
    [
        ("find_outlier", 6, ["p", "1", "1", "1", "main", "all", "0", "place", "id", "1", "layout", *"1234567"]),
        ("approve_outlier", 7, ["p", "1", "1", "1", "ordinal", "best", "id", "{}"]),
        ("reject_outlier", 5, ["p", "1", "1", "1", "id", "{}"]),
    ],
)
def test_an_outlier_is_not_touched_by_a_call_that_is_none(
    app: Flask, api: Client, raw: redis.Redis, name: str, keys: int, right: list[str]
) -> None:
    api.define("main")
    lb = app.extensions["leaderboard"]
    call_keys = [f"lb:{{0}}:probe{i}" for i in range(keys)]
    wrong = [right[:-1], [*right, "1"], [right[0], "now", *right[2:]]]
    with unchanged(raw):
        for args in wrong:
            with pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
                lb.store.change(name, call_keys, args)
        with pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
            lb.store.change(name, call_keys[:-1], right)
        # As it should be, of a board that there is none of.
        assert lb.store.change(name, call_keys, right) in ([b"stale"], [b"decided"])


REOPEN = ["alice", 1, "0123456789abcdef.alice", "held", "{}", "", "new"]


@pytest.mark.parametrize(
    ("keys", "args"),
    [
        (4, [*REOPEN, "rejected"]),
        (4, [*REOPEN, "rejected", "", "", "", ""]),
        (4, [*REOPEN, "", "", "", "", "", ""]),
        (4, [*REOPEN, "open", "", "", "", "", ""]),
        (4, [*REOPEN, "approved", 1, 1, "main", "ordinal", 0, "all", "", "entry"]),
        (7, [*REOPEN, "approved", 1, 1, "main", "ordinal", 0]),
        (7, [*REOPEN, "approved", 1, 1, "main", "ordinal", 0, "all", ""]),
        (6, [*REOPEN, "approved", 1, 1, "main", "ordinal", 0, "all", ""]),
        (7, [*REOPEN, "rejected", "", "", "", "", "", "all", "", "entry"]),
        (4, [*REOPEN, "approved", 1, 1, "main", "ordinal", 0]),
        (7, [*REOPEN, "approved", 1, 1, "main", "ordinal", "x", "all", "", "entry"]),
    ],
)
def test_a_review_is_not_reopened_by_arguments_that_are_not_right(
    app: Flask, api: Client, raw: redis.Redis, keys: int, args: Any
) -> None:
    api.define("main")
    lb = app.extensions["leaderboard"]
    place = [lb.keys.player("alice"), lb.keys.held("alice"), lb.keys.reopened("alice"), lb.keys.gate("main")]
    with unchanged(raw), pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
        lb.store.change("reopen_review", [*place, *lb.keys.standings("main", "all")][:keys], args)


@pytest.mark.parametrize(
    "args",
    [
        ("alice", "alice", 1, 16), ("alice", "b b", 1, 16), ("a;b", "bob", 1, 16), ("", "bob", 1, 16),
        ("alice", "", 1, 16), ("alice", "bob", "x", 16), ("alice", "bob", 1, "x"), ("alice", "bob", 1),
        ("alice", "bob", 1, 16, 17),
    ],
)  # fmt: skip
def test_a_merge_of_what_are_no_two_players_does_not_begin(
    app: Flask, api: Client, raw: redis.Redis, args: Any
) -> None:
    api.define("main")
    for player in ("alice", "bob"):
        api.submit(player, 1)
    keys = app.extensions["leaderboard"].keys
    with unchanged(raw), pytest.raises(redis.ResponseError, match="LB_ARGUMENTS"):
        app.extensions["leaderboard"].store.change(
            "begin_merge", [keys.player("alice"), keys.player("bob"), keys.held("alice"), keys.names], args
        )


def test_the_library_names_every_file_of_its_folder() -> None:
    names = [file.name for file in (resources.files("leaderboard.store") / "lua").iterdir()]
    assert sorted(names) == sorted(f"{name}.lua" for name in FILES)
