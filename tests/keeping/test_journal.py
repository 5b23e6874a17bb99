"""What stands in the journal: each kind of record is written by some call, and archived; and what happens at its limit.

All of it on the store that tests share, with a clock that stands still.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from typing import Any

import msgpack
import pytest
import redis
from flask import Flask

from leaderboard import create_app, journal
from leaderboard.archive.writer import Writer, _Batch
from leaderboard.installation import Installation
from leaderboard.journal import Record
from leaderboard.model import DAY_MS
from leaderboard.moving.foreign import ForeignScore
from leaderboard.moving.items import make_item
from leaderboard.moving.targets import Targets
from leaderboard.outlier_reviews import look_at
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.calls import issue_key, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import assert_archive_is_store, every_row
from tests.oracle import show_instant
from tests.reviewing import HOLDS, REVIEWS
from tests.trust.outliers import fill

JOURNAL = "lb:{0}:journal"
SUBMIT = "/v1/boards/main/submissions"

DEVICE = {"device_id": "a-device-of-somebody-0123456789"}


def catalogue() -> set[str]:
    """The kinds that leaderboard/journal.py describes: the first words of its list."""
    return set(re.findall(r"^    ([a-z_]+) +\S", str(journal.__doc__), re.MULTILINE))


def kinds_written() -> set[str]:
    """The kinds that functions write."""
    folder = resources.files("leaderboard.store") / "lua"
    return {kind for file in folder.iterdir() for kind in re.findall(r"\brecord\('([a-z_]+)'", file.read_text("utf-8"))}


def everything(api: Client, clock: SetClock) -> None:
    """A call for each kind of record."""
    season = {"kind": "season", "keep_days": 30, "settle_delay_s": 9 * 86_400}
    api.define(periods=[season, {"kind": "weekly", "settle_delay_s": 9 * 86_400}], late_s=9 * 86_400)
    api.define("gone")
    week_ago = show_instant(clock.now_ms() - 7 * DAY_MS)
    for player in ("alice", "bob", "carol", "dave"):
        api.submit(player, 5, achieved_at=week_ago, key="first")
    api.submit("alice", 3, "gone")
    api.server.put("/v1/players/alice", {"display_name": "Alice", "country": "SE", "attributes": {"team": "red"}})
    api.admin.delete("/v1/admin/boards/main/entries/bob?reason=cheated")
    api.admin.put("/v1/admin/boards/main/entries/carol", {"score": 4, "reason": "replay checked"})
    as_it_was = {"submissions": 2, "achieved_at": week_ago, "newest_at": week_ago}
    api.admin.put("/v1/admin/boards/main/entries/carol", {"score": 5, "reason": "put back"} | as_it_was)
    # From here on last week is settled, so that whoever is erased leaves a nameless entry there.
    api.define(periods=[season, {"kind": "weekly", "settle_delay_s": 0}], late_s=0)
    api.server.put("/v1/players/alice/friends", {"players": ["bob", "carol"]})
    api.server.put("/v1/players/alice/blocks/carol", expect=204)
    for subject in ("1", "2"):
        api.server.put("/v1/players/alice/identities/steam", {"subject": subject}, expect=201)
    api.server.put("/v1/players/bob/identities/steam", {"subject": "3"}, expect=201)
    api.server.delete("/v1/players/bob/identities/steam")
    signed_in = Client(api.http, api.post("/v1/sessions", DEVICE, expect=201)["token"])
    signed_in.delete("/v1/sessions/current")
    api.server.delete("/v1/players/dave")
    api.admin.put("/v1/admin/players/carol/ban", {"kind": "shadow", "reason": "a bot"})
    review_some(api)
    api.admin.post("/v1/admin/boards/main/reset", {"season": "s1"})
    find_one(api)
    import_into_the_past(api)
    api.define("plays", rules={"attempts": {"most": 9}})
    attempts = [api.server.post("/v1/boards/plays/attempts", {"player": "eve"}, expect=201) for _ in range(2)]
    api.submit("eve", 1, "plays", attempt=attempts[0]["attempt"])
    api.define("gone", state="archived")
    api.admin.delete("/v1/admin/boards/gone")
    issue_key(api, "server")
    api.admin.put("/v1/admin/maintenance", {"reason": "moving house"})


def import_into_the_past(api: Client) -> None:
    """An entry of a week that has expired."""
    lb, week = api.http.application.extensions["leaderboard"], "2024-W10"
    score = ForeignScore("main", "frank", 5, {}, lb.clock.now_ms(), b"", None, 1, week)
    # As an import sends it, which archives it at once.
    item = make_item(lb, score, "frank", Targets(lb).of("main"), week, lb.clock.now_ms(), "")
    assert lb.store.change(*item.call) == [b"put"]


def review_some(api: Client) -> None:
    api.define("strict", rules=HOLDS)
    for score in (2000, 3000):
        api.submit("carol", score, "strict", key=str(score))
    lb = api.http.application.extensions["leaderboard"]
    keys = [lb.keys.player("carol"), lb.keys.held("carol"), lb.keys.reopened("carol"), lb.keys.gate("strict")]
    one, held, other, _ = lb.store.read(("HGETALL", lb.keys.held("carol")))[0]
    for review, decision in ((one, "reject"), (other, "approve")):
        api.admin.post(f"{REVIEWS}/{review.decode()}/decision", {"decision": decision})
    # As the call does it that waits for the archive first.
    args = ["carol", lb.clock.now_ms(), one, held, '{"by": "cli", "reason": null, "at_ms": 0}', "", "x", "rejected"]
    assert lb.store.change("reopen_review", keys, [*args, "", "", "", "", ""]) == [b"open"]


def find_one(api: Client) -> None:
    """An outlier, on the board that goes."""
    fill(api, board="gone")
    api.submit("cheat", 10**9, "gone")
    lb = api.http.application.extensions["leaderboard"]
    lb.archive.migrate()
    assert look_at(lb, "gone") == 1


def test_every_kind_of_record_is_written_by_some_call_and_archived(
    api: Client, lb: Installation, raw: redis.Redis, clock: SetClock
) -> None:
    everything(api, clock)
    written = Counter(msgpack.unpackb(fields[b"r"], raw=True)[0].decode() for _, fields in raw.xrange(JOURNAL))
    assert written.keys() == kinds_written() == catalogue()
    assert Drain(lb).step() == sum(written.values())
    with lb.archive.write() as connection:
        assert {kind.decode() for kind in _Batch(Writer(lb.archive), connection).add} == catalogue()

    assert_archive_is_store(lb.archive, raw)
    tables = lb.archive.tables
    entries = {(row.period_id, row.player) for row in every_row(lb.archive, tables.entries)}
    assert ("s1", "carol") in entries
    assert ("s1", "bob") not in entries
    assert ("s1", "dave") not in entries
    assert sum("\x01" in player for _, player in entries) == 1
    players = {row.player: row for row in every_row(lb.archive, tables.players)}
    assert (players["alice"].display_name, players["dave"].state) == ("Alice", "erased")
    assert {row.kind for row in every_row(lb.archive, tables.submissions)} == {"submission", "correction", "held"}
    assert {row.side.partition(";")[0] for row in every_row(lb.archive, tables.friends)} == {"friends", "blocked"}
    assert {row.board: row.state for row in every_row(lb.archive, tables.boards)} == {
        "main": "open", "gone": "deleted", "strict": "open", "plays": "open",
    }  # fmt: skip
    assert {(row.board, row.season) for row in every_row(lb.archive, tables.seasons)} == {
        ("main", 1), ("main", 2), ("strict", 1), ("plays", 1),
    }  # fmt: skip
    assert {row.state for row in every_row(lb.archive, tables.reviews)} == {"open", "approved"}
    assert [row.player for row in every_row(lb.archive, tables.attempts)] == ["eve"]
    assert [(row.player, row.attempts) for row in every_row(lb.archive, tables.attempted)] == [("eve", 2)]
    assert not every_row(lb.archive, tables.sessions)
    assert len(every_row(lb.archive, tables.keys)) == 1
    kept = {row.name: row.value for row in every_row(lb.archive, tables.installation)}
    assert kept.keys() == {"maintenance", "signing"}
    assert "moving house" in kept["maintenance"]


def test_a_record_says_how_things_stand_so_that_one_alone_is_enough(
    api: Client, lb: Installation, raw: redis.Redis
) -> None:
    api.define(policy="sum")
    for score in (1, 2, 3):
        api.submit("alice", score)
    drain = Drain(lb)
    drain.step()
    api.submit("alice", 4, metadata={"n": 4})
    api.submit("alice", 0)
    (_, fields), *_ = raw.xrange(JOURNAL)
    kind, *_, standings = journal.unpack(Record(0, fields[b"r"]))
    assert kind == b"submit"
    assert len(standings) == 2
    drain.step()
    assert_archive_is_store(lb.archive, raw)


@pytest.mark.parametrize("by", ["a submission", "a read"])
def test_a_session_that_is_renewed_is_so_in_the_archive(
    api: Client, lb: Installation, raw: redis.Redis, clock: SetClock, by: str
) -> None:
    api.define()
    alice, drain = api.player("alice"), Drain(lb)
    drain.step()
    (before,) = every_row(lb.archive, lb.archive.tables.sessions)
    clock.pass_ms(2 * DAY_MS)
    if by == "a read":
        alice.get("/v1/players/me")
    else:
        alice.post(SUBMIT, {"score": 1})
    drain.step()
    (after,) = every_row(lb.archive, lb.archive.tables.sessions)
    assert (after.session, after.expires_ms) == (before.session, before.expires_ms + 2 * DAY_MS)
    assert_archive_is_store(lb.archive, raw)


def test_an_entry_that_was_put_there_as_it_is_is_archived_as_it_is(
    api: Client, lb: Installation, raw: redis.Redis
) -> None:
    api.define(periods=[{"kind": "alltime"}])
    api.submit("alice", 7, metadata={"car": "red"})
    drain = Drain(lb)
    drain.step()
    packed = raw.hget("lb:{0}:entries:main:all", "alice")
    assert isinstance(packed, bytes)
    head, metadata = packed[:18], packed[18:]
    # As a function that imports entries writes it: the same entry once more, of somebody else.
    raw.hset("lb:{0}:entries:main:all", "bob", packed)
    raw.zadd("lb:{0}:order:main:all", {head[7:14] + b"bob": -7})
    raw.hset("lb:{0}:player:bob", "created_at", 1)
    for record in (["player", 1, "bob", 1, {}], ["entry", 1, "main", "all", "bob", head, metadata, 0]):
        raw.xadd(JOURNAL, {"r": msgpack.packb(record)}, id="1-*")
    drain.step()
    assert_archive_is_store(lb.archive, raw)


# -- full ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def before(api: Client) -> Client:
    """What is there before the journal fills up."""
    api.define()
    api.define("old", state="archived")
    api.define("plays", rules={"attempts": {"most": 9}})
    for player in ("alice", "bob", "carol", "dave"):
        api.submit(player, 5, key=f"{player}-first")
    api.server.put("/v1/players/alice/friends", {"players": ["bob"]})
    api.server.put("/v1/players/alice/identities/steam", {"subject": "1"}, expect=201)
    api.server.put("/v1/players/bob/blocks/carol", expect=204)
    api.post("/v1/sessions", DEVICE, expect=201)
    return api


@pytest.fixture
def full_app(before: Client, settings: Settings, clock: SetClock, raw: redis.Redis) -> Iterator[Flask]:
    """As many records wait as may."""
    app = create_app(replace(settings, journal_records_most=int(raw.xlen(JOURNAL))), clock)
    yield app
    app.extensions["leaderboard"].close()


@pytest.fixture
def full(full_app: Flask) -> Client:
    return Client(full_app.test_client())


REFUSED: list[tuple[str, str, Any]] = [
    ("POST", SUBMIT, {"player": "alice", "score": 9}),
    ("POST", SUBMIT, {"player": "nobody-yet", "score": 9}),
    ("POST", "/v1/submissions/batch", {"submissions": [{"board": "main", "player": "alice", "score": 9}] * 3}),
    ("POST", "/v1/boards/plays/attempts", {"player": "alice"}),
    ("PUT", "/v1/players/alice", {"display_name": "Alice"}),
    ("PUT", "/v1/players/nobody-yet", {}),
    ("PATCH", "/v1/players/alice", {"country": "se"}),
    ("POST", "/v1/players/alice/sessions", None),
    ("POST", "/v1/players/nobody-yet/sessions", None),
    ("PUT", "/v1/players/alice/friends", {"players": ["carol", "dave"]}),
    ("PUT", "/v1/players/alice/friends/carol", None),
    ("PUT", "/v1/players/alice/blocks/dave", None),
    ("PUT", "/v1/players/alice/identities/steam", {"subject": "2"}),
    ("PUT", "/v1/players/dave/identities/steam", {"subject": "9"}),
    ("POST", "/v1/players/alice/merge", {"into": "dave"}),
    ("PUT", "/v1/admin/boards/main", {"title": "Another"}),
    ("PUT", "/v1/admin/boards/new", {}),
    ("PUT", "/v1/admin/boards/main/entries/alice", {"score": 1, "reason": "replay checked"}),
    ("POST", "/v1/admin/boards/main/reset", {"season": "s1"}),
    ("POST", "/v1/admin/keys", {"name": "one more", "role": "read"}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body"), REFUSED, ids=lambda part: part if isinstance(part, str) else "")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_journal_refuses_what_adds_and_changes_nothing(
    full: Client, raw: redis.Redis, method: str, path: str, body: Any
) -> None:
    caller = full.admin if path.startswith("/v1/admin") else full.server
    for headers in ({}, {"Idempotency-Key": "one-that-is-new"}):
        with unchanged(raw):
            answer = caller.call(method, path, body, headers)
        assert (answer.status_code, answer.get_json()["code"]) == (503, "journal_full"), answer.text
        assert int(answer.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_journal_refuses_what_players_add_and_changes_nothing(
    before: Client, full_app: Flask, raw: redis.Redis
) -> None:
    http = full_app.test_client()
    token = before.server.post("/v1/players/dave/sessions", expect=201)["token"]
    dave = Client(http, token)
    for method, path, body in (
        ("POST", SUBMIT, {"score": 9}),
        ("PATCH", "/v1/players/me", {"display_name": "Dave"}),
        ("PUT", "/v1/players/me/friends/carol", None),
    ):
        with unchanged(raw):
            answer = dave.call(method, path, body)
        assert answer.get_json()["code"] == "journal_full", path
    assert dave.get("/v1/players/me")["submissions"] == 1


@pytest.mark.parametrize("device_id", [DEVICE["device_id"], "a-device-that-is-new-0123456789"])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_journal_refuses_to_sign_in_a_device_and_changes_nothing(
    full: Client, raw: redis.Redis, device_id: str
) -> None:
    with unchanged(raw):
        answer = full.call("POST", "/v1/sessions", {"device_id": device_id})
    assert answer.get_json()["code"] == "journal_full"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_the_journal_is_full_what_was_done_before_is_still_answered_and_everything_is_read(
    full: Client, raw: redis.Redis
) -> None:
    with unchanged(raw):
        answer = full.server.call("POST", SUBMIT, {"player": "bob", "score": 5}, {"Idempotency-Key": "bob-first"})
        assert (answer.status_code, answer.headers["Idempotent-Replayed"]) == (200, "true")
        batch = {"submissions": [{"board": "main", "player": "bob", "score": 5}]}
        assert full.server.call("POST", "/v1/submissions/batch", batch).status_code == 503
        assert [player for _, player, _ in full.table()] == ["alice", "bob", "carol", "dave"]
        assert full.get("/readyz")["status"] == "ok"


def test_while_the_journal_is_full_what_takes_away_still_does_and_all_goes_on_once_it_is_archived(
    before: Client, full_app: Flask, raw: redis.Redis, lb: Installation
) -> None:
    full = Client(full_app.test_client())
    dave = Client(full.http, before.server.post("/v1/players/dave/sessions", expect=201)["token"])
    full.admin.delete("/v1/admin/boards/main/entries/alice?reason=cheated")
    full.server.delete("/v1/players/carol")
    full.server.delete("/v1/players/alice/friends/bob")
    full.server.delete("/v1/players/alice/identities/steam")
    dave.delete("/v1/sessions/current")
    full.admin.delete("/v1/admin/boards/old")
    full.admin.put("/v1/admin/maintenance", {"reason": "the archive is away"})
    full.admin.delete("/v1/admin/maintenance")
    assert [player for _, player, _ in full.table()] == ["bob", "dave"]
    full.get("/v1/players/carol", expect=410)
    assert full.submit("bob", 9, expect=503)["code"] == "journal_full"

    waiting, drain = raw.xlen(JOURNAL), Drain(lb)
    assert drain.step() == waiting
    assert full.submit("bob", 9, key="bob-second")["outcome"] == "applied"
    full.define("new")
    drain.step()
    assert_archive_is_store(lb.archive, raw)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_while_the_journal_is_full_a_key_can_be_revoked(before: Client, full_app: Flask) -> None:
    # A key that got into wrong hands cannot wait for the archive.
    key_id, _ = issue_key(before, "admin")
    Client(full_app.test_client()).admin.delete(f"/v1/admin/keys/{key_id}")
