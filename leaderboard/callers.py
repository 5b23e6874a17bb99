"""Who is calling, and what that allows. The credentials themselves are checked in `credentials` and `sessions`."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from leaderboard.errors import Problem, unauthenticated
from leaderboard.model import Board, Readers


class Role(IntEnum):
    """Ordered: each may do what those before it may, except that only a player has a `me`."""

    ANYONE = 0
    PLAYER = 1
    READ = 2
    SERVER = 3
    ADMIN = 4


class Scope(StrEnum):
    """What an admin key may do; one call needs one of these."""

    BOARDS = "boards"
    PLAYERS = "players"
    REVIEWS = "reviews"
    KEYS = "keys"
    AUDIT = "audit"
    MAINTENANCE = "maintenance"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Caller:
    role: Role
    #: What idempotency keys are scoped to: the key's id, or the player, so that signing in again changes nothing.
    credential: str = ""
    #: For players: who, and the field of the player hash that holds the session.
    player: str | None = None
    session: str = ""
    #: Of a key: what it is called, and when it ends.
    name: str | None = None
    expires_ms: int | None = None
    #: Of an admin key.
    scopes: Set[Scope] = frozenset()
    #: The player is shadow-banned, and must not notice.
    shadowed: bool = False

    def require(self, role: Role) -> None:
        """Raise `unauthenticated` for nobody in particular, `forbidden` for somebody who is not enough."""
        if self.role >= role:
            return
        if self.role is Role.ANYONE:
            raise unauthenticated()
        raise Problem("forbidden", f"this call needs a key of role {role.name.lower()}")

    def require_scope(self, scope: Scope) -> None:
        """Raises forbidden, for an admin too."""
        if scope not in self.scopes:
            raise Problem("forbidden", f"this call needs an admin key with the scope {scope}")

    def require_player(self, player: str) -> None:
        """The player itself, or a server."""
        if self.player != player:
            self.require(Role.SERVER)

    def owns_or(self, player: str, role: Role) -> bool:
        return self.player == player or self.role >= role

    @property
    def hidden_self(self) -> str:
        """The player whose hidden entries are laid over what it reads: itself if it is shadowed, else ""."""
        return (self.player or "") if self.shadowed else ""

    def may_read(self, board: Board) -> bool:
        return self.role >= _READERS[board.reads]

    def require_reader(self, board: Board) -> None:
        self.require(_READERS[board.reads])


_READERS = {Readers.PUBLIC: Role.ANYONE, Readers.PLAYERS: Role.PLAYER, Readers.SERVERS: Role.READ}

ANYONE = Caller(Role.ANYONE)
