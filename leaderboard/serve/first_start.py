"""The keys that the first start makes, and the file in the data directory that keeps them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from leaderboard.audit import by_cli
from leaderboard.callers import Role
from leaderboard.errors import SettingError
from leaderboard.installation import open_installation
from leaderboard.settings import Durability, Settings

#: The variables in the file: those that would otherwise give the keys as settings.
ADMIN_KEY = "LEADERBOARD_ADMIN_KEY"
SERVER_KEY = "LEADERBOARD_SERVER_KEY"

FILE = "keys.env"


@dataclass(frozen=True, slots=True)
class FirstKeys:
    """Which keys are at hand; variable → secret."""

    path: Path
    #: The keys in the file that work.
    kept: Mapping[str, str]
    #: Those of them that were made just now.
    made: Mapping[str, str]
    #: The variables for which there is no key, neither in the file nor as a setting.
    missing: Sequence[str]


def first_keys(settings: Settings) -> FirstKeys:
    """Make an admin and a server key where the store never had one of that role and the settings give none.

    So a store that was emptied gets new ones, whatever the file says; a key that an admin revoked does not
    come back; and a second `serve` on the same store does not make its own. Raise Problem (503) when the
    store is away, SettingError when it cannot be used, or the file cannot be read or written.
    """
    path = settings.data_dir / FILE
    kept = _read(path)
    with closing(open_installation(settings)) as asked:
        asked.claim.check()
    # A secret that was not safe in time would be known to nobody, so it is not waited for. A key that is lost all the
    # same is made anew at the next start.
    lb = open_installation(replace(settings, durability=Durability.EVERYSEC))
    try:
        credentials = lb.credentials
        roles = {key.role for key in credentials.list()}
        made, missing = {}, []
        for role, variable, given in (
            (Role.ADMIN, ADMIN_KEY, settings.admin_key),
            (Role.SERVER, SERVER_KEY, settings.server_key),
        ):
            caller = credentials.check(kept[variable]) if variable in kept else None
            if caller is not None and caller.role is role:
                continue
            kept.pop(variable, None)
            if given is None and role not in roles:
                made[variable] = credentials.create("first start", role, by_cli("create_key")).secret
            elif given is None:
                missing.append(variable)
    finally:
        lb.close()
    if made:
        kept |= made
        _write(path, kept)
    return FirstKeys(path, kept, made, missing)


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise SettingError(f"{path} cannot be read: {error.strerror}") from error
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def _write(path: Path, keys: Mapping[str, str]) -> None:
    """Replace the file in one step, so that it is never there half written, nor readable to others."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes the file with mode 0600 and O_EXCL.
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{FILE}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write("# Secrets of this leaderboard, made at its first start. In a shell: . THIS_FILE\n")
                file.writelines(f"{name}={secret}\n" for name, secret in keys.items())
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
    except OSError as error:
        raise SettingError(f"{path} cannot be written: {error.strerror}") from error
