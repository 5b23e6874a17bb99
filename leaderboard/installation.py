"""One installation: the store, its clock and the definitions a process knows. Every domain call takes one."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.boards import BoardCache
from leaderboard.clock import Clock, TellsTime
from leaderboard.credentials import Credentials
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.store import Store, connect_store


@dataclass(frozen=True, slots=True)
class Installation:
    settings: Settings
    store: Store
    keys: Keys
    clock: TellsTime
    boards: BoardCache
    credentials: Credentials


def open_installation(settings: Settings, clock: TellsTime | None = None) -> Installation:
    """Connects lazily: a store that is away does not keep a process from starting."""
    store, keys = connect_store(settings), Keys(settings.namespace)
    clock = clock or Clock(store)
    return Installation(
        settings, store, keys, clock, BoardCache(store, keys), Credentials(store, keys, clock, settings)
    )
