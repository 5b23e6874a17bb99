"""A store is marked when it is first used, and looked over before every use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from leaderboard.errors import SettingError
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.store import check_store, connect_store
from tests.client import Client

MARK = "lb:{0}:store"


def test_processes_that_start_together_agree(settings: Settings, raw: redis.Redis) -> None:
    stores = [connect_store(settings) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(50):
            raw.delete(MARK)
            for done in [pool.submit(check_store, store, Keys("lb")) for store in stores]:
                done.result()
    for store in stores:
        store.close()
    assert raw.hgetall(MARK) == {b"schema": b"1", b"partitions": b"1"}


@pytest.mark.parametrize("mark", [{"schema": "2"}, {"partitions": "16"}])
def test_data_of_another_version_is_refused_not_guessed_at(
    settings: Settings, raw: redis.Redis, api: Client, mark: dict[str, str]
) -> None:
    raw.hset(MARK, mapping={"schema": "1", "partitions": "1"} | mark)
    store = connect_store(settings)
    with pytest.raises(SettingError, match=r"schema \d+ in \d+ partitions"):
        check_store(store, Keys("lb"))
    store.close()
    problem = api.get("/readyz", expect=503)
    assert "this version uses schema 1" in problem["detail"]
