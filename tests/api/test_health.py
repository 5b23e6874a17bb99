"""/livez, /readyz and /metrics: what operators and their machines ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import redis
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import update

from leaderboard import create_app
from leaderboard.api import health
from leaderboard.api import metrics as metrics_module
from leaderboard.installation import Installation
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.live import free_port


@pytest.fixture(autouse=True)
def look_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen a second ago is not what these tests ask for."""
    monkeypatch.setattr(health, "CHECK_EVERY_S", 0.0)
    monkeypatch.setattr(metrics_module, "READ_EVERY_S", 0.0)


@pytest.fixture
def make(settings: Settings, clock: SetClock) -> Iterator[Callable[..., Client]]:
    """Applications with other settings."""
    made: list[Installation] = []

    def client(**more: Any) -> Client:
        app = create_app(replace(settings, **more), clock)
        made.append(app.extensions["leaderboard"])
        return Client(app.test_client())

    yield client
    for lb in made:
        lb.close()


def work(app: Flask) -> None:
    """One turn of a worker."""
    turns = iter([False])
    Drain(app.extensions["leaderboard"]).run(lambda: next(turns, True))


def estrange(app: Flask) -> None:
    """Make the archive one of another store."""
    archive = app.extensions["leaderboard"].archive
    with archive.write() as connection:
        connection.execute(update(archive.tables.readers).values(generation="another", token="another"))


def numbers(api: Client) -> dict[str, float]:
    """The samples of /metrics, without what they all begin with."""
    answer = api.call("GET", "/metrics")
    assert answer.status_code == 200
    samples = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.type == "gauge"
        assert family.documentation
        [sample] = family.samples
        assert sample.labels == {}
        samples[sample.name.removeprefix("leaderboard_")] = sample.value
    return samples


# -- /readyz ---------------------------------------------------------------------------------------------------------


def test_a_new_installation_is_ready_and_says_that_nobody_archives(api: Client) -> None:
    assert api.get("/readyz") == {
        "status": "ok",
        "journal": {"records": 0, "oldest_s": None, "alarm": False, "full": False},
        "archive": {"worker": "none", "problem": None},
    }
    assert api.get("/livez") == {"status": "ok"}


def test_what_waits_for_the_archive_is_counted_and_its_age_told(api: Client, clock: SetClock, app: Flask) -> None:
    api.define()
    api.submit("alice", 1)
    clock.pass_ms(5_500)
    journal = api.get("/readyz")["journal"]
    assert journal["records"] >= 2
    assert journal["oldest_s"] == 5.5
    work(app)
    assert api.get("/readyz")["journal"] == {"records": 0, "oldest_s": None, "alarm": False, "full": False}


def test_a_full_journal_is_said_and_stays_in_rotation_for_its_reads(make: Callable[..., Client]) -> None:
    api = make(journal_records_alarm=6, journal_records_most=8)
    api.define()
    seen = set()
    for score in range(1, 20):
        answer = api.server.call("POST", "/v1/boards/main/submissions", {"player": "alice", "score": score})
        journal = api.get("/readyz")["journal"]
        assert journal["alarm"] is (journal["records"] >= 6)
        assert journal["full"] is (journal["records"] >= 8)
        seen.add((answer.status_code, journal["alarm"], journal["full"]))
    assert seen == {(200, False, False), (200, True, False), (200, True, True), (503, True, True)}
    assert answer.get_json()["code"] == "journal_full"
    assert api.table()[0][:2] == (1, "alice")


def test_a_worker_is_archiving_or_stuck_or_not_there(api: Client, app: Flask, raw: redis.Redis) -> None:
    api.define()
    work(app)
    assert api.get("/readyz")["archive"] == {"worker": "archiving", "problem": None}
    estrange(app)
    work(app)
    archive = api.get("/readyz")["archive"]
    assert archive["worker"] == "stuck"
    assert "the archive is of another store" in archive["problem"]
    raw.delete("lb:{0}:worker")
    assert api.get("/readyz")["archive"] == {"worker": "none", "problem": None}


def test_a_store_that_is_away_is_not_ready_but_alive(make: Callable[..., Client]) -> None:
    api = make(redis_url=f"redis://127.0.0.1:{free_port()}")
    assert api.get("/readyz", expect=503)["code"] == "store_unavailable"
    assert api.get("/livez") == {"status": "ok"}


def test_the_store_is_asked_once_in_a_while_only(
    api: Client, raw: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CHECK_EVERY_S", 3600.0)
    monkeypatch.setattr(metrics_module, "READ_EVERY_S", 3600.0)
    api.get("/readyz")
    numbers(api)
    raw.config_resetstat()
    for _ in range(20):
        api.get("/readyz")
        numbers(api)
    asked = {name for name in raw.info("commandstats") if not name.startswith(("cmdstat_info", "cmdstat_config"))}
    assert asked == set()


# -- /metrics --------------------------------------------------------------------------------------------------------


def test_the_metrics_of_an_installation_that_is_well(
    api: Client, app: Flask, clock: SetClock, raw: redis.Redis, settings: Settings
) -> None:
    api.define()
    api.submit("alice", 1)
    work(app)
    clock.pass_ms(2_000)
    waiting = raw.xlen("lb:{0}:journal")
    assert waiting == 0
    found = numbers(api)
    used = found.pop("store_used_memory_bytes")
    assert used == pytest.approx(raw.info("memory")["used_memory"], rel=0.5)
    assert found == {
        "ready": 1,
        "store_up": 1,
        "journal_records": 0,
        "journal_records_limit": settings.journal_records_most,
        "journal_oldest_seconds": 0,
        "archive_worker_up": 1,
        "archive_worker_last_seen_seconds": 2,
    }


def test_the_metrics_of_a_journal_that_nobody_archives(api: Client, clock: SetClock, raw: redis.Redis) -> None:
    api.define()
    clock.pass_ms(90_000)
    found = numbers(api)
    assert found["journal_records"] == raw.xlen("lb:{0}:journal") > 0
    assert found["journal_oldest_seconds"] == 90
    assert found["archive_worker_up"] == 0
    assert "archive_worker_last_seen_seconds" not in found


def test_a_worker_that_is_stuck_is_not_up(api: Client, app: Flask) -> None:
    api.define()
    work(app)
    estrange(app)
    work(app)
    found = numbers(api)
    assert found["archive_worker_up"] == 0
    assert found["archive_worker_last_seen_seconds"] == 0


def test_while_the_store_is_away_the_metrics_say_so(make: Callable[..., Client]) -> None:
    api = make(redis_url=f"redis://127.0.0.1:{free_port()}")
    assert numbers(api) == {"ready": 0, "store_up": 0, "journal_records_limit": 1_000_000}


def test_a_store_that_must_not_be_used_is_up_and_not_ready(api: Client, raw: redis.Redis) -> None:
    api.define()
    raw.config_set("maxmemory-policy", "allkeys-lru")
    try:
        found = numbers(api)
    finally:
        raw.config_set("maxmemory-policy", "noeviction")
    assert (found["ready"], found["store_up"]) == (0, 1)


def test_a_store_that_does_not_say_how_much_memory_it_uses_is_up(
    make: Callable[..., Client], settings: Settings, raw: redis.Redis
) -> None:
    raw.acl_setuser("looker", enabled=True, passwords=["+secret"], keys=["lb:*"], commands=["+@all", "-info"])
    try:
        path = str(settings.redis_url).removeprefix("unix://")
        found = numbers(make(redis_url=f"unix://looker:secret@{path}"))
    finally:
        raw.acl_deluser("looker")
    assert found["store_up"] == 1
    assert "store_used_memory_bytes" not in found


def test_metrics_are_text_for_anybody_and_not_kept_by_caches(api: Client) -> None:
    answer = api.call("GET", "/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    assert api.call("GET", "/metrics?name[]=x").status_code == 422
    assert Client(api.http, "wrong").call("GET", "/metrics").status_code == 401
    documented = api.get("/openapi.json")["paths"]["/metrics"]["get"]["responses"]["200"]["content"]
    assert documented == {"text/plain": {"schema": {"type": "string"}}}
    assert "text format of Prometheus" in api.call("GET", "/docs").text
