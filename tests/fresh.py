"""An empty store, claimed: as an installation finds it that has just begun."""

from __future__ import annotations

import tempfile
from pathlib import Path

import redis

from leaderboard.installation import open_installation
from leaderboard.settings import Settings


def begin_anew(raw: redis.Redis, store_url: str) -> None:
    """Empty the store, and claim it again, so that processes which run already go on with it."""
    raw.flushall()
    with tempfile.TemporaryDirectory() as nothing:
        # There is no archive at this place, so nothing seems to be lost.
        lb = open_installation(Settings(redis_url=store_url, data_dir=Path(nothing) / "data"))
        lb.claim.check()
        lb.close()
