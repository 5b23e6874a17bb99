"""Waiting for a store or an archive that is away for a moment, where doing something twice comes to the same."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from leaderboard.errors import Problem

T = TypeVar("T")

#: How long they are waited for, and how long before the next try.
PATIENCE_S = 60.0
RETRY_S = 0.25

#: What passes by itself.
PASSING = ("store_unavailable", "outcome_unknown", "not_durable", "journal_full", "archive_unavailable")


def patiently(act: Callable[[], T]) -> T:
    """What it returns, as soon as it does. Raises the Problem that does not pass."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return act()
        except Problem as problem:
            if problem.code not in PASSING or time.monotonic() > deadline:
                raise
        time.sleep(RETRY_S)
