"""Whether the store is the one that this installation has been writing to.

An empty store is claimed: it is marked, and its journal begins. One that was emptied behind our back looks the same, so
an empty store is claimed only when the archive holds nothing either; and once a process has seen a claimed store, it
asks once a second whether it still is one. Functions that change something look for themselves, in the same step.
"""

from __future__ import annotations

import logging
import secrets
import time

from redis.exceptions import ResponseError

from leaderboard.archive.database import Archive
from leaderboard.archive.filling import HALF_IMPORTED, is_half_imported
from leaderboard.archive.readers import known_generation
from leaderboard.errors import Problem, SettingError
from leaderboard.keys import Keys
from leaderboard.settings import Durability, Settings
from leaderboard.store.client import Store, emptied

log = logging.getLogger(__name__)

#: The data layout of `leaderboard.keys`; a store with another one is refused.
SCHEMA = "2"

#: How many partitions the players are split into; fixed when a store is first used.
PARTITIONS = "1"

#: How often a journal that is long is spoken of.
WARN_EVERY_S = 60.0

#: How long it is taken for granted that the store holds what it held.
TRUSTED_S = 1.0


class StoreLostError(SettingError):
    """The store is empty and the archive is not: it has to be rebuilt."""


class Claim:
    """One process's hold on the store."""

    def __init__(self, store: Store, keys: Keys, archive: Archive, settings: Settings) -> None:
        self._store, self._keys, self._archive = store, keys, archive
        self._alarm, self._durability = settings.journal_records_alarm, settings.durability
        #: Whether this process has seen the store claimed, and when it looked last.
        self._seen = False
        self._looked_at_s = self._warned_at_s = -WARN_EVERY_S

    def confirm(self, *, trusting_s: float = TRUSTED_S) -> None:
        """Raise Problem (503) when the store was emptied; claim one that never held anything.

        A store that is away is not this one's to report. One round trip a second.
        """
        now = time.monotonic()
        if self._seen and now - self._looked_at_s < trusting_s:
            return
        try:
            is_there, waiting = self._store.read(("EXISTS", self._keys.journal), ("XLEN", self._keys.journal))
        except Problem:
            return
        if not is_there:
            self._looked_at_s = -TRUSTED_S
            if self._seen:
                raise emptied()
            self._claim_or_refuse()
        self._seen, self._looked_at_s = True, now
        if waiting >= self._alarm and now - self._warned_at_s >= WARN_EVERY_S:
            self._warned_at_s = now
            log.error("%d records wait in the journal for the archive: is `leaderboard worker` running?", waiting)

    def _claim_or_refuse(self) -> None:
        try:
            self.check()
        except StoreLostError as error:
            log.error("%s", error)
            raise emptied() from error
        except SettingError as error:
            log.error("the store cannot be used: %s", error)
            raise Problem("store_unavailable", str(error), retry_after_s=30) from error

    def check(self) -> str:
        """Claim an empty store, or check that this version can use what is there; return its generation.

        SettingError when the store evicts keys or has data of another schema, StoreLostError when it is empty although
        it should not be. Problem (503): store_unavailable; archive_unavailable, as an empty store is not claimed then.
        """
        policy, mark = self._store.read(
            ("CONFIG", "GET", "maxmemory-policy"),
            ("HMGET", self._keys.store, "schema", "partitions", "generation"),
        )
        if policy and policy[1] != b"noeviction":
            raise SettingError(
                f"the store's maxmemory-policy is {policy[1].decode()}: it would silently throw standings away. "
                "Set it to noeviction."
            )
        self._check_durability()
        if mark[0] is None:
            # Only an empty store is written to: a full one may still be read, and is ready for that.
            mark = self._claim()
        schema, partitions, generation = (value.decode() if value is not None else "none" for value in mark)
        if (schema, partitions) != (SCHEMA, PARTITIONS):
            raise SettingError(
                f"the store holds data of schema {schema} in {partitions} partitions; "
                f"this version uses schema {SCHEMA} in {PARTITIONS}"
            )
        if not self._store.read(("EXISTS", self._keys.journal))[0]:
            raise SettingError(
                "the store's journal was deleted: `leaderboard rebuild --replace` makes the store anew from the archive"
            )
        return generation

    def _check_durability(self) -> None:
        """That the store can do what LEADERBOARD_DURABILITY asks for; whether in time shows at each change."""
        if self._durability is Durability.FSYNC:
            try:
                self._store.read(("WAITAOF", 1, 0, 1))
            except ResponseError as error:
                raise SettingError(
                    f"LEADERBOARD_DURABILITY is fsync, and the store cannot: {error}. It needs Redis or Valkey from "
                    "7.2 on, with appendonly yes; LEADERBOARD_STORE_BINARY names another server for the embedded store"
                ) from error

    def _claim(self) -> list[bytes | None]:
        if self._store.read(("EXISTS", self._keys.rebuild))[0]:
            raise StoreLostError("the store is being rebuilt; `leaderboard rebuild` goes on where it stopped")
        if known_generation(self._archive) is not None:
            if is_half_imported(self._archive):
                raise StoreLostError(HALF_IMPORTED)
            raise StoreLostError(
                "the store is empty, but the archive is not: `leaderboard rebuild` fills it from the archive"
            )
        keys = [self._keys.store, self._keys.boards, self._keys.journal]
        mark: list[bytes | None] = self._store.call("claim_store", keys, [SCHEMA, PARTITIONS, secrets.token_hex(8)])
        if not mark:
            raise SettingError("the store holds boards, but not the mark of an installation: was part of it deleted?")
        return mark
