"""Between the service and its store stands a proxy that breaks things; some tests have a store of their own to harm."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask import Flask

from leaderboard import create_app
from leaderboard.settings import Durability, Settings
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import packaged_binary
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.faults.proxy import Proxy


@pytest.fixture
def proxy(store_url: str, raw: redis.Redis) -> Iterator[Proxy]:
    with Proxy(store_url) as proxy:
        yield proxy


@pytest.fixture
def own_store() -> Iterator[EmbeddedStore]:
    """A store that a test may fill, misconfigure and kill. Its path is short: a socket's path has a limit.

    It writes before it answers: else a disk that stalls, as under many tests, holds back what a killed one then loses,
    as docs/operations.md says.
    """
    folder = Path(tempfile.mkdtemp(prefix="lb-own-"))
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary())
    store = EmbeddedStore(Settings(data_dir=folder, store_binary=binary, durability=Durability.FSYNC))
    store.start()
    yield store
    store.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_raw(own_store: EmbeddedStore) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_store.url) as client:
        yield client


@pytest.fixture
def own_app(own_store: EmbeddedStore) -> Iterator[Flask]:
    app = create_app(
        Settings(
            redis_url=own_store.url, data_dir=own_store.log.parent.parent, admin_key=ADMIN_KEY, server_key=SERVER_KEY
        )
    )
    yield app
    app.extensions["leaderboard"].store.close()


@pytest.fixture
def own_api(own_app: Flask) -> Client:
    return Client(own_app.test_client())


@pytest.fixture
def proxied_app(proxy: Proxy, tmp_path: Path) -> Iterator[Flask]:
    """The application behind the proxy, with short deadlines: what is measured is that they hold, not how long."""
    app = create_app(
        Settings(
            redis_url=proxy.url,
            data_dir=tmp_path / "data",
            admin_key=ADMIN_KEY,
            server_key=SERVER_KEY,
            store_timeout_s=0.5,
            store_connections=8,
        )
    )
    yield app
    app.extensions["leaderboard"].close()


@pytest.fixture
def proxied(proxied_app: Flask) -> Client:
    return Client(proxied_app.test_client())
