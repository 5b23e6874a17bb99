"""A store is marked when it is first used, and looked over before every use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from leaderboard.claim import StoreLostError
from leaderboard.errors import SettingError
from leaderboard.installation import Installation, open_installation
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.client import Client

MARK = "lb:{0}:store"
JOURNAL = "lb:{0}:journal"


@pytest.fixture
def lb(settings: Settings) -> Installation:
    return open_installation(settings)


def test_processes_that_start_together_agree(settings: Settings, raw: redis.Redis) -> None:
    installations = [open_installation(settings) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            raw.delete(MARK, JOURNAL)
            generations = {done.result() for done in [pool.submit(lb.claim.check) for lb in installations]}
            assert len(generations) == 1
    for lb in installations:
        lb.close()
    mark = raw.hgetall(MARK)
    assert mark[b"schema"] == b"2"
    assert mark[b"partitions"] == b"1"
    assert mark[b"generation"].decode() in generations
    assert raw.xinfo_stream(JOURNAL)["last-generated-id"] == b"1-0"


@pytest.mark.parametrize("mark", [{"schema": "3"}, {"partitions": "16"}])
def test_data_of_another_version_is_refused_not_guessed_at(
    lb: Installation, raw: redis.Redis, api: Client, mark: dict[str, str]
) -> None:
    raw.hset(MARK, mapping={"schema": "2", "partitions": "1"} | mark)
    with pytest.raises(SettingError, match=r"schema \d+ in \d+ partitions"):
        lb.claim.check()
    problem = api.get("/readyz", expect=503)
    assert "this version uses schema 2" in problem["detail"]


def test_an_empty_store_is_not_claimed_while_the_archive_knows_better(
    lb: Installation, raw: redis.Redis, api: Client
) -> None:
    api.define()
    assert Drain(lb).step() > 0
    raw.flushall()
    with pytest.raises(StoreLostError, match="leaderboard rebuild"):
        lb.claim.check()
    assert "leaderboard rebuild" in api.get("/readyz", expect=503)["detail"]
    assert raw.keys() == []


def test_a_store_of_which_a_part_was_deleted_is_not_claimed(lb: Installation, raw: redis.Redis, api: Client) -> None:
    api.define()
    raw.delete(MARK)
    with pytest.raises(SettingError, match="was part of it deleted"):
        lb.claim.check()


def test_a_journal_that_was_deleted_stops_all_changes(lb: Installation, raw: redis.Redis, api: Client) -> None:
    api.define()
    raw.delete(JOURNAL)
    with pytest.raises(SettingError, match="journal was deleted"):
        lb.claim.check()
    assert api.submit("alice", 1, expect=503)["code"] == "store_unavailable"
    assert raw.exists(JOURNAL) == 0
