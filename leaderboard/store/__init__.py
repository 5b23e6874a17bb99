"""Redis or Valkey: connections, the function library, the embedded server."""

from __future__ import annotations

from leaderboard.errors import SettingError
from leaderboard.keys import Keys
from leaderboard.settings import Settings
from leaderboard.store.client import Store

#: The data layout of `leaderboard.keys`; a store with another one is refused.
SCHEMA = b"1"

#: How many partitions the players are split into; fixed when a store is first used.
PARTITIONS = b"1"

__all__ = ["Store", "check_store", "connect_store"]


def connect_store(settings: Settings) -> Store:
    """Return the store of the settings; nothing is sent yet. SettingError without an address."""
    if settings.redis_url is None:
        raise SettingError("LEADERBOARD_REDIS_URL is not set; `leaderboard serve` starts a store of its own")
    try:
        return Store(settings)
    except ValueError as error:
        raise SettingError(f"LEADERBOARD_REDIS_URL: {error}") from error


def check_store(store: Store, keys: Keys) -> None:
    """Claim an empty store, or check that this version can use what is there.

    SettingError when the store evicts keys or has data of another schema; Problem (503) when it is away.
    """
    policy = dict(_pairs(store.read(("CONFIG", "GET", "maxmemory-policy"))[0])).get(b"maxmemory-policy")
    if policy not in (b"noeviction", None):
        raise SettingError(
            f"the store's maxmemory-policy is {policy.decode()}: it would silently throw standings away. "
            "Set it to noeviction."
        )
    schema, partitions = store.read(("HMGET", keys.store, "schema", "partitions"))[0]
    if schema is None:
        # Only an empty store is written to: a full one may still be read, and is ready for that.
        schema, partitions = store.call("claim_store", [keys.store], [SCHEMA, PARTITIONS])
    if (schema, partitions) != (SCHEMA, PARTITIONS):
        raise SettingError(
            f"the store holds data of schema {schema.decode()} in {partitions.decode()} partitions; "
            f"this version uses schema {SCHEMA.decode()} in {PARTITIONS.decode()}"
        )


def _pairs(flat: list[bytes]) -> zip[tuple[bytes, bytes]]:
    return zip(flat[::2], flat[1::2], strict=True)
