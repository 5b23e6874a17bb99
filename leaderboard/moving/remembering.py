"""How far an import is, so that the same command goes on where it was cut off.

It stands in the store, beside what was imported: it is of this installation and of no other, it needs no place beside
the source (which may be an address), and a store that is put back to an earlier state has the progress of that state.

Rows are sent in chunks. Before a chunk is sent it is noted up to where, afterwards that it came through. Each note has
a digest of all rows up to there: so a source whose rows changed meanwhile is noticed rather than counted twice. Rows
behind may change, as a row does that was wrong and stopped the import. The rows of a chunk of which it is not known
whether it came through are sent again; scores that count have an Idempotency-Key each, made of the import's token and
their line.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from leaderboard.errors import LeaderboardError
from leaderboard.moving.patience import patiently
from leaderboard.store.client import Command

if TYPE_CHECKING:
    from leaderboard.installation import Installation

#: How long an import that was cut off, or is done, is remembered.
REMEMBERED_MS = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Begun:
    """An import, as far as it is."""

    #: Begins its Idempotency-Keys.
    token: str
    #: When it was begun.
    at_ms: int
    #: The last line that came through, and the digest of all rows up to it; 0 before the first.
    line: int = 0
    digest: str = ""
    #: The last line of the chunk that was sent then, the digest up to it, when that was; 0 for none.
    sent_line: int = 0
    sent_digest: str = ""
    sent_ms: int = 0
    #: It came to the end of its source.
    done: bool = False
    #: The last line that was refused, up to that end.
    refused: int = 0


class TwiceError(LeaderboardError):
    """Two processes are at the same import."""


class Remembered:
    """What is remembered of the import of one name; of one without a name, nothing."""

    def __init__(self, lb: Installation, name: str | None) -> None:
        self._lb = lb
        self._key = None if name is None else lb.keys.import_progress(sha256(name.encode()).hexdigest()[:32])
        #: What is in the store, as far as this process knows.
        self._noted: Begun | None = None

    def read(self) -> Begun | None:
        self._noted = patiently(self._read)
        return self._noted

    def _read(self) -> Begun | None:
        if self._key is None:
            return None
        fields = self._lb.store.read(("HGETALL", self._key))[0]
        found = {name.decode(): value.decode() for name, value in zip(fields[::2], fields[1::2], strict=True)}
        if not found:
            return None
        return Begun(
            found["token"], int(found["at_ms"]), int(found["line"]), found["digest"], int(found["sent_line"]),
            found["sent_digest"], int(found["sent_ms"]), found["done"] == "1", int(found["refused"]),
        )  # fmt: skip

    def begin(self) -> Begun:
        """Begin anew, whatever there was."""
        return Begun(secrets.token_hex(8), self._lb.clock.now_ms())

    def note(self, begun: Begun) -> None:
        if self._key is None:
            return
        commands: list[Command] = [
            (
                "HSET", self._key, "token", begun.token, "at_ms", begun.at_ms, "line", begun.line, "digest",
                begun.digest, "sent_line", begun.sent_line, "sent_digest", begun.sent_digest, "sent_ms", begun.sent_ms,
                "done", int(begun.done), "refused", begun.refused,
            ),
            ("PEXPIRE", self._key, REMEMBERED_MS),
        ]  # fmt: skip
        patiently(lambda: self._lb.store.write_many(commands))
        self._noted = begun

    def sending(self, begun: Begun, line: int, digest: str) -> Begun:
        """Raises TwiceError when somebody else has gone on with this import meanwhile."""
        if patiently(self._read) != self._noted:
            # The same chunk sent twice comes to the same, but who is behind by many must not send what is long done.
            raise TwiceError("this import goes on elsewhere, or what was remembered of it is lost; run it once, again")
        after = replace(begun, sent_line=line, sent_digest=digest, sent_ms=self._lb.clock.now_ms(), done=False)
        self.note(after)
        return after

    def came_through(self, begun: Begun) -> Begun:
        after = replace(begun, line=begun.sent_line, digest=begun.sent_digest, sent_line=0, sent_digest="", sent_ms=0)
        self.note(after)
        return after
