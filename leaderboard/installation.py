"""One installation: store, archive, clock and the definitions a process knows. Every domain call takes one."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.archive.database import Archive
from leaderboard.blocklist import NameBlocklist
from leaderboard.boards import BoardCache
from leaderboard.claim import Claim
from leaderboard.clock import Clock, TellsTime
from leaderboard.credentials import Credentials
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.signatures import Signing
from leaderboard.store import Store, connect_store


@dataclass(frozen=True, slots=True)
class Installation:
    settings: Settings
    store: Store
    keys: Keys
    clock: TellsTime
    boards: BoardCache
    credentials: Credentials
    signing: Signing
    archive: Archive
    claim: Claim
    blocklist: NameBlocklist

    def close(self) -> None:
        self.store.close()
        self.archive.close()


def open_installation(settings: Settings, clock: TellsTime | None = None) -> Installation:
    """Connects lazily: a store or an archive that is away does not keep a process from starting.

    Raises SettingError for a name blocklist that cannot be read.
    """
    blocklist = NameBlocklist(settings.name_blocklist)
    store, keys = connect_store(settings), Keys(settings.namespace)
    clock = clock or Clock(store)
    boards, credentials = BoardCache(store, keys), Credentials(store, keys, clock, settings)
    signing, archive = Signing(store, keys, clock), Archive(settings)
    claim = Claim(store, keys, archive, settings)
    return Installation(settings, store, keys, clock, boards, credentials, signing, archive, claim, blocklist)
