"""An installation of its own for each test, whose store may be killed, emptied and put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from leaderboard.installation import Installation
from leaderboard.model import DAY_MS
from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.keeping.mixture import DAYS, Mixture
from tests.keeping.place import Place, new_place


@pytest.fixture
def settings(settings: Settings, database_url: str) -> Settings:
    """Those of the store that all tests share; the archive is this test's own, on SQLite and on PostgreSQL."""
    return replace(settings, database_url=database_url)


@pytest.fixture
def lb(app: Flask) -> Installation:
    return app.extensions["leaderboard"]


@pytest.fixture
def place(database_url: str) -> Iterator[Place]:
    """On SQLite and on PostgreSQL."""
    with new_place(database_url) as place:
        yield place


@pytest.fixture
def place_on_sqlite() -> Iterator[Place]:
    with new_place(None) as place:
        yield place


@pytest.fixture(scope="session")
def played() -> Iterator[tuple[Mixture, Path]]:
    """The mixture, and the files of a store that holds it; none of it is archived."""
    with new_place(None) as place:
        now_ms = place.installation().clock.now_ms()
        clock = SetClock(now_ms - DAYS * DAY_MS)
        mixture = Mixture(place.api(clock), clock)
        mixture.play()
        yield mixture, place.copy_store("played")
