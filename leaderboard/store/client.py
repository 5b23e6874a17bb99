"""Calls to the store: one connection pool per process, and a plain answer to "did it happen?".

redis-py's own clients repeat a command whose reply was lost, which would apply a submission twice, and fold "could not
be sent" and "reply lost" into one error. So this drives its connections directly:

- not sent (no connection, none free): `store_unavailable`; nothing happened.
- sent, and no reply came in time: a read is asked once more; a write raises `outcome_unknown`.
- refused by the store (out of memory, disk full, read-only, loading): `store_unavailable`; nothing happened.
- refused by a function because the store was emptied: `store_unavailable`; because the journal is full: `journal_full`.
- done, but not on the disk or the replicas that LEADERBOARD_DURABILITY asks for in time: `not_durable`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hiredis import pack_command
from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError
from redis.exceptions import ConnectionError as StoreConnectionError
from redis.exceptions import TimeoutError as StoreTimeoutError
from redis.retry import Retry

from leaderboard.errors import Problem
from leaderboard.keys import Keys
from leaderboard.settings import Durability, Settings
from leaderboard.store.library import library

log = logging.getLogger(__name__)

Command = tuple[str | bytes | int | float, ...]
FunctionCall = tuple[str, Sequence[str], Sequence[str | bytes | int | float]]

#: What the Retry-After of a 503 says.
RETRY_AFTER_S = 1

#: Any time will do: only the writing of it counts.
FENCE_MS = 60_000

#: Refusals that pass by themselves or with an operator's help; the command did not run.
_REFUSALS = (
    "OOM", "MISCONF", "READONLY", "LOADING", "BUSY", "NOREPLICAS", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOAUTH",
    "NOPERM", "WRONGPASS",
)  # fmt: skip


#: Refusals that redis-py takes for connection errors: still loading, not let in.
_CLOSING_REFUSALS = (BusyLoadingError, AuthenticationError)


def unavailable(detail: str | None = None) -> Problem:
    return Problem("store_unavailable", detail, retry_after_s=RETRY_AFTER_S)


def journal_full() -> Problem:
    return Problem("journal_full", retry_after_s=RETRY_AFTER_S)


def not_durable() -> Problem:
    return Problem("not_durable", retry_after_s=RETRY_AFTER_S)


def emptied() -> Problem:
    """The store is there, but what it held is not: nothing is answered from it."""
    return Problem(
        "store_unavailable",
        "The store has lost its data, or is being rebuilt; see `leaderboard doctor`.",
        retry_after_s=30,
    )


@contextmanager
def after_write() -> Iterator[None]:
    """What is read here follows a write: when the store is away now, that must not be called undone."""
    try:
        yield
    except Problem as problem:
        if problem.code != "store_unavailable":
            raise
        raise Problem("outcome_unknown", retry_after_s=RETRY_AFTER_S) from problem


class Store:
    """One store, shared by every request of a process. Raises Problem (503) when it is away."""

    def __init__(self, settings: Settings) -> None:
        assert settings.redis_url is not None  # noqa: S101  connect_store() checks it
        self._library = library(settings.namespace)
        keys = Keys(settings.namespace)
        self._journal, self._journal_most = keys.journal, settings.journal_records_most
        self._barrier, self._enough = _barrier(settings, keys)
        self._pool = BlockingConnectionPool.from_url(
            settings.redis_url,
            max_connections=settings.store_connections,
            timeout=settings.store_connection_wait_s,
            socket_timeout=settings.store_timeout_s,
            socket_connect_timeout=settings.store_connect_timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    # -- commands ------------------------------------------------------------------------------------------------

    def write(self, *command: str | bytes | int | float) -> Any:
        """Run one command, never twice."""
        return _done(_judge(self._exchange([command])[0]))

    def write_many(self, commands: Sequence[Command]) -> list[Any]:
        """Run commands in one round trip, never twice; raise the first Problem there is."""
        return _all_done([_judge(reply) for reply in self._exchange(commands)])

    def read(self, *commands: Command) -> list[Any]:
        """Run commands that change nothing, in one round trip; once more if the connection breaks."""
        return _all_done([_judge(reply) for reply in self._repeatable(commands)])

    # -- functions -----------------------------------------------------------------------------------------------

    def change(
        self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int | float], act: bytes = b""
    ) -> Any:
        """Call a function that changes what is to be kept, never twice. Raises `journal_full` besides.

        `act` is the admin's act that this is (`audit.Act.on`): if anything changes, it is recorded in the same step.
        """
        return _done(self._change([(name, keys, args)], act)[0])

    def change_many(self, calls: Sequence[FunctionCall]) -> list[Any]:
        """The same of several, in one round trip, in order; raise the first Problem there is."""
        return _all_done(self.change_each(calls))

    def change_each(self, calls: Sequence[FunctionCall]) -> list[Any]:
        """The same, each for itself: a Problem stands in the place of a call that was refused."""
        return self._change(calls, b"")

    def _change(self, calls: Sequence[FunctionCall], act: bytes) -> list[Any]:
        # What these take besides: see register_change in store/lua/journal.lua.
        journaled = [(name, [*keys, self._journal], [*args, self._journal_most, act]) for name, keys, args in calls]
        return [_judge_change(reply) for reply in self._functions("FCALL", journaled, self._exchange_durably)]

    def call(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Call a function that writes what the archive need not know, never twice."""
        return _done(self._functions("FCALL", [(name, keys, args)], self._exchange)[0])

    def ask(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Call a function that only reads; once more if the connection breaks."""
        return self.ask_many([(name, keys, args)])[0]

    def ask_many(self, calls: Sequence[FunctionCall]) -> list[Any]:
        return _all_done(self._functions("FCALL_RO", calls, self._repeatable))

    def load_library(self) -> None:
        """Load the function library; harmless when it is there."""
        reply = self._exchange([("FUNCTION", "LOAD", self._library.source)])[0]
        if isinstance(reply, ResponseError) and "already exists" not in str(reply):
            _done(_judge(reply))

    def close(self) -> None:
        self._pool.disconnect()

    # -- the wire ------------------------------------------------------------------------------------------------

    def _functions(self, verb: str, calls: Sequence[FunctionCall], exchange: Any) -> list[Any]:
        commands = [(verb, self._library.function(name), len(keys), *keys, *args) for name, keys, args in calls]
        replies = exchange(commands)
        missing = [i for i, reply in enumerate(replies) if _is_missing_function(reply)]
        if missing:
            # A store that was emptied or failed over: those calls did not run, so they may be repeated.
            try:
                self.load_library()
                again = exchange([commands[i] for i in missing])
            except Problem as problem:
                # Of those that did run, the replies are here.
                again = [problem] * len(missing)
            for i, reply in zip(missing, again, strict=True):
                replies[i] = reply
        return [_judge(reply) for reply in replies]

    def _repeatable(self, commands: Sequence[Command]) -> list[Any]:
        try:
            return self._exchange(commands)
        except Problem as problem:
            if problem.code != "outcome_unknown":
                raise
        try:
            return self._exchange(commands)
        except Problem as problem:
            raise unavailable("The store did not answer in time.") from problem

    def _exchange_durably(self, commands: Sequence[Command]) -> list[Any]:
        """The same; a Problem stands for every reply that may be lost with the machine it came from."""
        if not self._barrier:
            return self._exchange(commands)
        *replies, fence, reached = self._exchange([*commands, *self._barrier])
        if not isinstance(fence, RedisError) and _holders(reached) >= self._enough:
            return replies
        log.warning("not durable in time: %s, %s", fence, reached)
        return [reply if isinstance(reply, RedisError) else not_durable() for reply in replies]

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands and return their replies; error replies come back as ResponseError objects."""
        try:
            connection = self._pool.get_connection()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as error:
            # LOADING and the like also surface here, from the handshake.
            raise unavailable("The store cannot be reached.") from error
        try:
            try:
                # hiredis packs a submission four times as fast as redis-py does around it.
                packed = b"".join(pack_command(command) for command in commands)  # type: ignore[arg-type]
                connection.send_packed_command([packed])
                replies: list[Any] = []
                for left in range(len(commands), 0, -1):
                    try:
                        replies.append(connection.read_response())
                    except ResponseError as error:
                        replies.append(error)
                    except _CLOSING_REFUSALS as error:
                        # redis-py closes the connection on these, so what the commands after it did is not known.
                        if left > 1:
                            raise
                        replies.append(error)
            except (StoreConnectionError, StoreTimeoutError, OSError) as error:
                log.warning("the store's reply was lost: %s", error)
                raise Problem("outcome_unknown", retry_after_s=RETRY_AFTER_S) from error
            return replies
        except BaseException:
            # Whatever else stops this (a killed request among them): the rest of the replies must not be read as
            # the answer to somebody else's command.
            connection.disconnect()
            raise
        finally:
            self._pool.release(connection)  # type: ignore[no-untyped-call]


def _holders(reached: Any) -> int:
    """How many hold what was written: WAITAOF says how many disks and how many replicas, WAIT how many replicas."""
    if isinstance(reached, RedisError):
        return 0
    return int(reached[0] if isinstance(reached, list) else reached)


def _barrier(settings: Settings, keys: Keys) -> tuple[list[Command], int]:
    """What is sent after changes, and which answer to it is enough.

    WAIT and WAITAOF speak of what their own connection wrote. What a repeat was the first time was written on another,
    so there is always something written first: whatever holds that holds all that came before.
    """
    wait_ms = int(settings.durability_wait_s * 1000)
    fence = ("SET", keys.fence, "", "PX", FENCE_MS)
    match settings.durability:
        case Durability.FSYNC:
            return [fence, ("WAITAOF", 1, 0, wait_ms)], 1
        case Durability.REPLICATED:
            return [fence, ("WAIT", settings.durability_replicas, wait_ms)], settings.durability_replicas
    return [], 0


def _judge(reply: Any) -> Any:
    """The reply, or the Problem that a refusal amounts to; raises what can only be a mistake of ours."""
    if not isinstance(reply, RedisError):
        return reply
    text = str(reply)
    if type(reply) is not ResponseError or text.startswith(_REFUSALS) or _is_missing_function(reply):
        log.warning("the store refuses: %s", text)
        return unavailable("The store refuses this now.")
    raise reply


def _judge_change(reply: Any) -> Any:
    if reply == [b"journal_full"]:
        return journal_full()
    return emptied() if reply == [b"lost"] else reply


def _done(reply: Any) -> Any:
    if isinstance(reply, Problem):
        raise reply
    return reply


def _all_done(replies: list[Any]) -> list[Any]:
    return [_done(reply) for reply in replies]


def _is_missing_function(reply: Any) -> bool:
    return isinstance(reply, ResponseError) and "Function not found" in str(reply)
