"""An installation whose archive is lost, exchanged or put back."""

from __future__ import annotations

import pytest

from leaderboard.installation import Installation
from leaderboard.rebuild import comparison, walk
from leaderboard.rebuild.walk import AT_ONCE
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.place import Place
from tests.keeping.refill.made import HOUR_MS


@pytest.fixture
def clock(place: Place) -> SetClock:
    """Behind the store's, so that it can go on by a day and nothing lies in the future."""
    seconds, _ = place.raw.time()
    return SetClock(seconds * 1000 - 30 * HOUR_MS)


@pytest.fixture
def api(place: Place, clock: SetClock) -> Client:
    return place.api(clock)


@pytest.fixture
def lb(place: Place, clock: SetClock) -> Installation:
    return place.installation(clock)


@pytest.fixture(params=[200, pytest.param(AT_ONCE, marks=pytest.mark.slow)])
def many(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """More than are read at once, so that changes can come between; in small shares, as fewer will do then."""
    for module in (walk, comparison):
        monkeypatch.setattr(module, "AT_ONCE", request.param)
    return int(request.param) * 5


@pytest.fixture
def elsewhere(place: Place, request: pytest.FixtureRequest) -> str:
    """An empty database of the other kind."""
    if place.installation().archive.dialect == "sqlite":
        return str(request.getfixturevalue("postgresql_url"))
    return f"sqlite:///{place.folder}/elsewhere.sqlite"
