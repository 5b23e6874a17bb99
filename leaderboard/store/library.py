"""The function library: the Lua files of `lua/`, joined in a stated order and named after their own source.

Its name and the names of its functions carry the namespace and a hash of the source. Two versions of the service can
so use one store at the same time, and loading a library that is there already is harmless.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

#: Each file may use what the files before it define.
FILES = (
    "prelude", "journal", "gone", "order", "entry", "unite", "gate", "remove", "rate", "replay", "ban", "rules",
    "review", "outliers", "attempt", "submit", "standings", "board", "player", "identities", "friends", "merge",
    "import", "installation",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Library:
    """The source to load, and how its functions are called."""

    source: str
    prefix: str
    suffix: str

    def function(self, name: str) -> str:
        return f"{self.prefix}_{name}_{self.suffix}"


@cache
def library(namespace: str) -> Library:
    """Put the library together for one namespace."""
    folder = resources.files("leaderboard.store") / "lua"
    body = "\n".join((folder / f"{name}.lua").read_text("utf-8") for name in FILES)
    suffix = hashlib.sha256(body.encode()).hexdigest()[:10]
    body = body.replace("@PREFIX@", namespace).replace("@SUFFIX@", suffix)
    return Library(f"#!lua name={namespace}_{suffix}\n{body}", namespace, suffix)
