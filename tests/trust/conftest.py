"""What tests of bans look at: everything the store holds, and everything somebody sees."""

from __future__ import annotations

import pytest
from flask import Flask

from leaderboard.installation import Installation
from leaderboard.worker.drain import Drain


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)
