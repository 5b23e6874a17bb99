"""Store and archive that do not belong together as they are: the worker archives nothing, and says what to do.

history of one store        1 2 3 4 5 6 7 8 9
the archive has                             9
put back                    1 2 3 4           behind: all it holds, the archive has
put back, gone on           1 2 3 4 a b       parted: the archive has no a and b, and never will
"""

from __future__ import annotations

from typing import Any

import msgpack
import pytest
import redis

from leaderboard.archive import readers
from leaderboard.claim import StoreLostError
from leaderboard.errors import Problem, SettingError
from leaderboard.installation import Installation, open_installation
from leaderboard.journal import JournalGapError
from leaderboard.rebuild import needed, rebuild
from leaderboard.rebuild.archive import fill_archive
from leaderboard.relation import CLOCKS_MS, Relation
from leaderboard.settings import Settings
from leaderboard.worker.drain import BATCH, DivergedError, Drain
from leaderboard.worker.report import read_worker
from tests.client import Client
from tests.conftest import SetClock
from tests.faults.proxy import Proxy
from tests.keeping.contents import assert_archive_is_store, every_row, every_table
from tests.keeping.killed_worker import end_lease
from tests.keeping.place import Place, once

JOURNAL, STORE, WORKER = "lb:{0}:journal", "lb:{0}:store", "lb:{0}:worker"


def numbers(raw: redis.Redis) -> list[int]:
    """Of the records that wait."""
    found: Any = raw.xrange(JOURNAL)
    return [int(number.partition(b"-")[2]) for number, _ in found]


def submissions(lb: Installation) -> int:
    return len(every_row(lb.archive, lb.archive.tables.submissions))


def refused(lb: Installation, says: str) -> None:
    """The worker does not archive, neither now nor later, and says so where /readyz and the doctor find it."""
    before = every_table(lb.archive)
    if lb.archive.exists():
        end_lease(lb)
    for _ in range(2):
        drain = Drain(lb)
        drain.run(once())
        reported = read_worker(lb.store, lb.keys)
        assert reported is not None
        assert says in (reported.problem or ""), reported
    assert every_table(lb.archive) == before


# -- untrimmed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["request", "reply"])
@pytest.mark.parametrize("gone_on", [0, 2])
def test_a_step_that_was_committed_and_perhaps_not_trimmed_is_not_archived_again(
    api: Client, lb: Installation, raw: redis.Redis, settings: Settings, store_url: str, lost: str, gone_on: int
) -> None:
    api.define(policy="sum")
    api.submit("alice", 1)
    with Proxy(store_url, only=b"trim_journal") as proxy:
        cut_off = open_installation(Settings(redis_url=proxy.url, database_url=settings.database_url), lb.clock)
        Drain(lb).run(once())
        api.submit("alice", 2)
        api.submit("bob", 3)
        if lost == "request":
            proxy.lose_requests = 1.0
        else:
            proxy.eat_replies = 1
        with pytest.raises(Problem):
            Drain(cut_off).step()
        cut_off.close()
    assert bool(numbers(raw)) == (lost == "request")
    for score in range(gone_on):
        api.submit("alice", score)
    end_lease(lb)
    drain = Drain(lb)
    while drain.step():
        pass
    assert numbers(raw) == []
    assert submissions(lb) == 3 + gone_on
    assert_archive_is_store(lb.archive, raw)


def test_a_step_goes_on_where_the_one_before_it_was_cut_off(api: Client, lb: Installation, raw: redis.Redis) -> None:
    api.define()
    drain = Drain(lb)
    drain.step()
    for first in range(0, BATCH + 500, 500):
        items = [{"board": "main", "player": f"p{i}", "score": i} for i in range(first, first + 500)]
        api.server.post("/v1/submissions/batch", {"submissions": items})
    waiting = numbers(raw)
    position = readers.read_position(lb.archive)
    assert position is not None
    assert waiting == list(range(position.number + 1, position.number + 1 + len(waiting)))
    # So many are archived, and exactly these are gone.
    assert drain.step() == BATCH
    assert numbers(raw) == waiting[BATCH:]
    position = readers.read_position(lb.archive)
    assert position is not None
    assert (position.number, position.previous_number) == (waiting[BATCH - 1], waiting[0] - 1)
    mark: Any = raw.hgetall(STORE)
    assert (int(mark[b"archived"]), mark[b"token"].decode()) == (position.number, position.token)
    assert drain.step() == len(waiting) - BATCH
    assert numbers(raw) == []
    assert_archive_is_store(lb.archive, raw)


# -- a journal that lacks something ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["first", "middle", "trimmed too far", "all"])
def test_a_journal_with_a_gap_is_not_archived_beyond_it(
    api: Client, lb: Installation, raw: redis.Redis, gone: str
) -> None:
    api.define()
    Drain(lb).run(once())
    for player in ("alice", "bob", "carol"):
        api.submit(player, 1)
    waiting = numbers(raw)
    match gone:
        case "first":
            raw.xdel(JOURNAL, f"1-{waiting[0]}")
        case "middle":
            raw.xdel(JOURNAL, f"1-{waiting[2]}")
        case "trimmed too far":
            raw.xtrim(JOURNAL, minid=f"1-{waiting[3]}", approximate=False)
        case "all":
            raw.xtrim(JOURNAL, maxlen=0, approximate=False)
            api.submit("dave", 1)
    with pytest.raises(JournalGapError, match="the journal lacks its record"):
        Drain(lb).step()
    left = numbers(raw)
    refused(lb, "the journal lacks its record")
    assert numbers(raw) == left


def test_a_record_that_cannot_be_archived_is_not_skipped(api: Client, lb: Installation, raw: redis.Redis) -> None:
    # Of a version to come, say.
    api.define()
    Drain(lb).run(once())
    raw.xadd(JOURNAL, {"r": msgpack.packb(["unheard-of", 1, "alice"])}, id="1-*")
    api.submit("alice", 1)
    left = numbers(raw)
    refused(lb, "KeyError")
    assert numbers(raw) == left


# -- a store that is another -----------------------------------------------------------------------------------------


def play(api: Client, *players: str) -> None:
    for player in players:
        api.submit(player, len(player))


@pytest.fixture
def place(place_on_sqlite: Place) -> Place:
    """What is compared here is in one row of the archive, whatever that is on."""
    return place_on_sqlite


@pytest.fixture
def put_back(place: Place) -> tuple[Place, Client]:
    """A store as it was before the last two steps of the archive."""
    api = place.api()
    api.define()
    play(api, "alice", "bob")
    place.drain()
    copy = place.copy_store("yesterday")
    play(api, "carol")
    place.drain()
    play(api, "dave", "eve", "frank")
    place.drain()
    place.put_back(copy)
    return place, api


def test_a_store_that_was_put_back_is_not_archived(put_back: tuple[Place, Client]) -> None:
    place, _ = put_back
    lb = place.installation()
    assert needed(lb) is Relation.BEHIND
    with pytest.raises(DivergedError, match="the archive is ahead of the store") as raised:
        Drain(lb).step()
    assert "taken changes since" not in str(raised.value)
    assert "leaderboard rebuild --replace" in str(raised.value)
    refused(lb, "the archive is ahead of the store")


def test_readiness_shows_what_keeps_the_worker_from_archiving(put_back: tuple[Place, Client]) -> None:
    # The store is all that players need, so it is ready.
    place, _ = put_back
    Drain(place.installation()).run(once())
    archive = place.api().get("/readyz")["archive"]
    assert archive["worker"] == "stuck"
    assert "the archive is ahead of the store" in archive["problem"]


def test_a_store_that_was_put_back_and_has_gone_on_further_is_parted(put_back: tuple[Place, Client]) -> None:
    place, api = put_back
    play(api, *(f"player-{i}" for i in range(20)))
    lb = place.installation()
    assert needed(lb) is None
    with pytest.raises(DivergedError, match="has taken changes since"):
        Drain(lb).step()
    refused(lb, "has taken changes since")


def test_a_store_that_was_put_back_and_has_gone_on_a_little_is_parted_too(put_back: tuple[Place, Client]) -> None:
    # What it took since is in no archive: to call it behind would be to lose it without a word. Its numbers are still
    # lower than the archive's, so only the time tells, and here putting back took no time.
    place, _ = put_back
    lb = place.installation()
    play(place.api(SetClock(lb.clock.now_ms() + 10 * CLOCKS_MS)), "grace")
    with pytest.raises(DivergedError, match="has taken changes since"):
        Drain(lb).step()
    assert needed(lb) is None


def test_a_store_put_back_into_the_last_step_that_has_gone_on_is_parted(place: Place) -> None:
    # The token is that of the step before, and the journal holds as many records as the step had; but others.
    api = place.api()
    api.define()
    play(api, "alice")
    place.drain()
    play(api, "bob")
    copy = place.copy_store("before-the-step")
    play(api, "carol", "dave")
    place.drain()
    place.put_back(copy)
    play(api, "eve")
    lb = place.installation()
    with pytest.raises(DivergedError):
        Drain(lb).step()
    play(api, "frank", "grace")
    with pytest.raises(DivergedError, match="has taken changes since"):
        Drain(lb).step()


def test_a_store_put_back_to_before_the_last_step_lacks_nothing_when_it_holds_it_whole(place: Place) -> None:
    # A backup taken between commit and trim: it is as if the trim was never made.
    api = place.api()
    api.define()
    play(api, "alice")
    copy = place.copy_store("before-the-step")
    place.drain()
    place.put_back(copy)
    play(api, "bob")
    place.drain()
    lb = place.installation()
    assert_archive_is_store(lb.archive, place.raw)
    assert submissions(lb) == 2


def test_a_store_that_lost_its_end_is_behind(place: Place) -> None:
    # A power cut: the last second of the file is gone, and the archive was quicker.
    api = place.api()
    api.define()
    place.drain()
    play(api, "alice", "bob", "carol")
    place.drain()
    place.kill_store()
    file = max(place.appended.glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    with file.open("r+b") as appended:
        text = file.read_bytes()
        # From the last submission on.
        appended.truncate(text.rindex(b"carol") - 20)
    place.launch_store()
    lb = place.installation()
    assert needed(lb) is Relation.BEHIND
    refused(lb, "the archive is ahead of the store")


def test_an_archive_that_was_put_back_is_not_taken_for_a_store_that_was(place: Place) -> None:
    # The store has all of it. To make the store anew from this archive is the one thing that must not be done.
    api, file = place.api(), place.folder / "archive.sqlite"
    api.define()
    play(api, "alice")
    place.drain()
    for lb in place.installations:
        lb.archive.close()
    yesterday = file.read_bytes()
    play(api, "bob")
    place.drain()
    play(api, "carol")
    for lb in place.installations:
        lb.archive.close()
    file.write_bytes(yesterday)
    lb = place.installation()
    assert needed(lb) is None
    with pytest.raises(DivergedError) as raised:
        Drain(lb).step()
    assert "the archive is ahead" not in str(raised.value)
    assert "rebuild --replace" not in str(raised.value)
    refused(lb, "archive")


def test_an_archive_of_another_store_is_not_written_to(place: Place) -> None:
    api = place.api()
    api.define()
    play(api, "alice")
    place.drain()
    place.lose_store()
    # Claimed beside an archive that holds nothing; the setting was wrong, say.
    elsewhere = place.installation(database_url=None, data_dir=place.folder / "elsewhere")
    elsewhere.claim.check()
    api = place.api(database_url=None, data_dir=place.folder / "elsewhere")
    api.define("other")
    lb = place.installation()
    assert needed(lb) is None
    with pytest.raises(DivergedError, match="the archive is of another store"):
        Drain(lb).step()
    refused(lb, "the archive is of another store")


def test_a_new_archive_beside_an_old_store_is_not_begun(place: Place) -> None:
    api = place.api()
    api.define()
    play(api, "alice")
    place.drain()
    play(api, "bob")
    new = place.installation(database_url=None, data_dir=place.folder / "new")
    with pytest.raises(DivergedError, match="the archive is new, and the store is not"):
        Drain(new).step()
    assert readers.read_position(new.archive) is None
    # The old one goes on.
    assert place.drain()


@pytest.mark.parametrize("mend", ["put back", "filled anew"])
def test_an_archive_that_was_taken_away_under_the_worker_is_missed(place_on_sqlite: Place, mend: str) -> None:
    place = place_on_sqlite
    api, lb = place.api(), place.installation()
    api.define()
    play(api, "alice")
    drain = Drain(lb)
    while drain.step():
        pass
    file = place.folder / "archive.sqlite"
    aside = file.rename(place.folder / "aside")
    play(api, "bob")
    waiting = numbers(place.raw)
    with pytest.raises(Problem, match="archive_unavailable"):
        drain.step()
    # Whose log still lies there is not made anew by the worker.
    with pytest.raises(DivergedError, match="if it was taken away, put it back"):
        drain.step()
    assert not file.exists()
    assert numbers(place.raw) == waiting
    if mend == "put back":
        aside.rename(file)
        while drain.step():
            pass
    else:
        with pytest.raises(SettingError, match=r"put the file back; or, if it is lost, delete archive\.sqlite-wal"):
            fill_archive(lb)
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink()
        fill_archive(lb)
    assert numbers(place.raw) == []
    assert_archive_is_store(lb.archive, place.raw)


def test_a_new_archive_beside_a_store_that_was_rebuilt_is_not_begun(place: Place) -> None:
    # Its journal begins anew, and so lacks what was there before the rebuild.
    api = place.api()
    api.define()
    play(api, "alice")
    place.drain()
    place.lose_store()
    rebuild(place.installation())
    new = place.installation(database_url=None, data_dir=place.folder / "new")
    with pytest.raises(DivergedError, match="the archive is new, and the store is not"):
        Drain(new).step()


def test_a_new_archive_beside_a_store_that_archived_nothing_yet_has_it_all(place: Place) -> None:
    api = place.api()
    api.define()
    play(api, "alice")
    lb = place.installation()
    lb.archive.migrate()
    lb.archive.close()
    assert place.drain()
    assert_archive_is_store(lb.archive, place.raw)


def test_an_emptied_store_is_not_archived_nor_claimed(place: Place) -> None:
    api = place.api()
    api.define()
    play(api, "alice")
    place.drain()
    place.raw.flushall()
    lb = place.installation()
    before = every_table(lb.archive)
    end_lease(lb)
    with pytest.raises(StoreLostError):
        Drain(lb).step()
    assert place.raw.dbsize() == 0
    assert api.submit("bob", 1, expect=503)["code"] == "store_unavailable"
    assert every_table(lb.archive) == before


def test_a_worker_that_refuses_leaves_the_lease_to_whoever_mends_it(put_back: tuple[Place, Client]) -> None:
    place, _ = put_back
    with pytest.raises(DivergedError):
        Drain(place.installation()).step()
    position = readers.take_lease(place.installation().archive, "somebody", place.installation().clock.now_ms())
    assert position is not None


def test_a_worker_goes_on_by_itself_once_it_is_mended(put_back: tuple[Place, Client]) -> None:
    place, _ = put_back
    lb = place.installation()
    drain = Drain(lb)
    with pytest.raises(DivergedError):
        drain.step()
    rebuild(place.installation(), replacing=True)
    play(place.api(), "grace")
    assert drain.step()
    assert_archive_is_store(lb.archive, place.raw)
    everybody = {"alice", "bob", "carol", "dave", "eve", "frank", "grace"}
    assert {player for _, player, _ in place.api().table()} == everybody
