"""Redis or Valkey: connections, the function library, the embedded server."""

from __future__ import annotations

from leaderboard.addresses import store_options
from leaderboard.errors import SettingError
from leaderboard.settings import Settings
from leaderboard.store.client import Store

__all__ = ["Store", "connect_store"]


def connect_store(settings: Settings) -> Store:
    """Return the store of the settings; nothing is sent yet. SettingError without an address, or with a wrong one."""
    if settings.redis_url is None:
        raise SettingError("LEADERBOARD_REDIS_URL is not set; `leaderboard serve` starts a store of its own")
    store_options(settings.redis_url)
    return Store(settings)
