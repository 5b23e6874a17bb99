"""What a store says of itself. Each question is asked once; one that is not allowed raises CannotLookError."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.connection import BlockingConnectionPool
from redis.exceptions import NoPermissionError, RedisError, ResponseError
from redis.retry import Retry

from leaderboard.doctor.check import CannotLookError
from leaderboard.settings import Settings


class Sight:
    """A connection of the doctor's own: the service's takes every refusal for a store that is away."""

    def __init__(self, settings: Settings, url: str) -> None:
        self.url = url
        # The service's kind of pool, which takes whatever options the address may have for it.
        pool = BlockingConnectionPool.from_url(
            url,
            decode_responses=True,
            protocol=2,
            socket_timeout=settings.store_timeout_s,
            socket_connect_timeout=settings.store_connect_timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
        self.client = Redis.from_pool(pool)
        self._configured: dict[str, str] = {}

    @cached_property
    def info(self) -> dict[str, Any]:
        with _refusals("INFO", "+info"):
            return dict(self.client.info())

    def config(self, name: str) -> str:
        """One setting of the server."""
        if name not in self._configured:
            with _refusals("CONFIG GET", "+config|get"):
                found = self.client.config_get(name)
            if name not in found:
                raise CannotLookError(f"the store does not say what its {name} is")
            self._configured[name] = str(found[name])
        return self._configured[name]

    def ask(self, *command: str | int, needs: str) -> Any:
        """Run a command that changes nothing; `needs` is what an ACL must say to allow it."""
        with _refusals(" ".join(map(str, command[:2])), needs):
            return self.client.execute_command(*command)  # type: ignore[no-untyped-call]

    def refusal(self, *command: str | int, needs: str) -> str | None:
        """What the server has against a command that changes nothing; None when it runs it."""
        with _refusals(str(command[0]), needs):
            try:
                self.client.execute_command(*command)  # type: ignore[no-untyped-call]
            except NoPermissionError:
                raise
            except ResponseError as error:
                return str(error)
        return None

    def close(self) -> None:
        self.client.close()


@contextmanager
def _refusals(what: str, needs: str) -> Iterator[None]:
    try:
        yield
    except NoPermissionError as error:
        raise CannotLookError(f"the store does not let this user run {what} (its ACL needs {needs})") from error
    except ResponseError as error:
        # Services that run stores for others take commands away, or give them other names.
        raise CannotLookError(f"the store does not run {what}: {error}") from error
    except (RedisError, OSError) as error:
        raise CannotLookError(f"the store did not answer {what}: {error}") from error
