"""What tests of bans look at: everything the store holds, and everything somebody sees."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask

from leaderboard.installation import Installation
from leaderboard.outlier_reviews import look_at
from leaderboard.worker.drain import Drain


@pytest.fixture
def lb(app: Flask) -> Installation:
    installation: Installation = app.extensions["leaderboard"]
    return installation


@pytest.fixture
def drain(lb: Installation) -> Drain:
    return Drain(lb)


@pytest.fixture
def look(lb: Installation, drain: Drain) -> Any:
    """One look of a worker that has archived everything; says how many reviews it raised, and archives them."""

    def look(board: str = "main") -> int:
        while drain.step():
            pass
        raised = look_at(lb, board)
        while drain.step():
            pass
        return raised

    return look
