"""Addresses as they may be shown, and a last sieve for passwords in what servers and drivers say."""

from __future__ import annotations

from urllib.parse import quote

from redis.connection import parse_url
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from leaderboard.archive.connections import sqlite_file
from leaderboard.errors import SettingError
from leaderboard.settings import Settings

#: A shorter password is not looked for: it would be found in every other word.
SHORTEST = 4


def store_options(url: str) -> dict[str, object]:
    """What the address of a store says. Raises SettingError, without repeating a part of the password."""
    try:
        return dict(parse_url(url))  # type: ignore[no-untyped-call]
    except ValueError:
        raise SettingError(
            "LEADERBOARD_REDIS_URL cannot be read; it is redis://user:password@host:port/0, rediss://… or unix://…, "
            "with %40 for an @ in the password, %2F for a /, and so on"
        ) from None


def store_address(url: str) -> str:
    """The address of a store, with neither user nor password."""
    options = store_options(url)
    if "path" in options:
        return f"unix://{options['path']}"
    scheme = "rediss" if url.startswith("rediss:") else "redis"
    host = str(options.get("host", "localhost"))
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{options.get('port', 6379)}/{options.get('db', 0)}"


def archive_address(settings: Settings) -> str:
    """The address of the archive, with neither user nor password. Raises SettingError."""
    file = sqlite_file(settings)
    if file is not None:
        return f"SQLite in {file}"
    url = make_url(str(settings.database_url))
    host = url.host or url.query.get("host", "localhost")
    return f"PostgreSQL on {host}{f':{url.port}' if url.port else ''}, database {url.database or 'of the user'}"


def without_secrets(text: str, settings: Settings) -> str:
    """The text without any password or key of the settings; none should be in it."""
    for secret in _secrets(settings):
        text = text.replace(secret, "***")
    return text


def _secrets(settings: Settings) -> list[str]:
    found: list[str | None] = [settings.admin_key, settings.server_key]
    if settings.redis_url is not None:
        password = store_options(settings.redis_url).get("password")
        found.append(str(password) if password else None)
    if settings.database_url is not None:
        try:
            url = make_url(settings.database_url)
        except (ArgumentError, ValueError):
            url = None
        if url is not None:
            found += [url.password, str(url.query.get("password", ""))]
    plain = [secret for secret in found if secret is not None and len(secret) >= SHORTEST]
    # The longest first, so that no part of one is left over.
    return sorted({*plain, *(quote(secret, safe="") for secret in plain)}, key=len, reverse=True)
