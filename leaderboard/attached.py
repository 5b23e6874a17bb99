"""What a submission brings along besides numbers: metadata, and a reference to its replay.

Store and archive keep both as one text, the column and field ``metadata``, and never look into it: the metadata as
JSON, and where there is a reference a line break and that. JSON as it is dumped here has no line break, and a reference
has none either. Nothing that a reference points at is ever fetched.
"""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

#: Bytes of UTF-8.
REPLAY_MOST = 512

#: Control characters, and halves of characters.
_REFUSED = ("Cc", "Cs")


class Attached(NamedTuple):
    #: JSON, or empty for none.
    metadata: bytes
    #: Where the replay is, or what it is called; None without one.
    replay_ref: str | None


def check_replay_ref(text: str) -> str | None:
    """What is wrong with a reference, in words; None for one that can be kept."""
    if not text:
        return "empty"
    if any(unicodedata.category(character) in _REFUSED for character in text):
        return "has control characters"
    if len(text.encode()) > REPLAY_MOST:
        return f"longer than {REPLAY_MOST} bytes"
    return None


def attach(metadata: bytes, replay_ref: str | None) -> bytes:
    """As it is kept."""
    return metadata if replay_ref is None else b"%b\n%b" % (metadata, replay_ref.encode())


def detach(kept: bytes) -> Attached:
    metadata, separator, replay_ref = kept.partition(b"\n")
    return Attached(metadata, replay_ref.decode() if separator else None)
