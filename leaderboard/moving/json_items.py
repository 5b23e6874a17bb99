"""The objects in JSON of any size: in an array, in a member of an object, or one after the other.

Only one item is held at a time, of at most a million characters; each is parsed as strictly as a body of the API.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Collection, Iterator
from typing import Any

from leaderboard.moving import values
from leaderboard.moving.source import Source
from leaderboard.moving.values import WrongValue

_CHUNK = 1 << 16
#: Characters of one item.
_LONGEST_ITEM = 1 << 20

_BLANK = " \t\r\n"


def _ignored(_: str) -> None:
    """For numbers, where only the end of a value is looked for."""


_SCANNER = json.JSONDecoder(parse_int=_ignored, parse_float=_ignored, parse_constant=_ignored)


class JsonItems:
    """Iterating gives every item: each element of a top-level array, and each top-level object; of one that is large,
    first the elements of the members that `lists` names, then the object with these empty. Raises WrongValue.

    `chunk` is how many bytes are read at once, and so what large is.
    """

    def __init__(self, source: Source, lists: Collection[str], chunk: int = _CHUNK) -> None:
        self._source = source
        self._lists = lists
        self._chunk = chunk
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        while self._peek():
            if self._peek() == "[":
                yield from self._elements()
            elif self._peek() == "{":
                end = self._end()
                if end is None:
                    yield from self._members()
                else:
                    yield self._parsed(end)
            else:
                raise WrongValue("neither a JSON object nor an array")

    def _elements(self) -> Iterator[Any]:
        self._take("[")
        while self._peek() != "]":
            yield self._value()
            if self._peek() != "]":
                self._take(",")
                if self._peek() == "]":
                    raise WrongValue("not valid JSON: nothing after a comma")
        self._take("]")

    def _members(self) -> Iterator[Any]:
        members: dict[str, Any] = {}
        self._take("{")
        while self._peek() != "}":
            name = self._value()
            if not isinstance(name, str):
                raise WrongValue("not valid JSON: the name of a member is not a text")
            if name in members:
                raise WrongValue(f"{values.shown(name)} stands twice in one object")
            self._take(":")
            if name in self._lists and self._peek() == "[":
                members[name] = []
                yield from self._elements()
            else:
                members[name] = self._value()
            if self._peek() != "}":
                self._take(",")
                if self._peek() == "}":
                    raise WrongValue("not valid JSON: nothing after a comma")
        self._take("}")
        yield members

    def _peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _BLANK:
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _take(self, character: str) -> None:
        found = self._peek()
        if found != character:
            raise WrongValue(f"not valid JSON: {f'{found!r}' if found else 'it ends'} where {character!r} is due")
        self._at += 1

    def _value(self) -> Any:
        if not self._peek():
            raise WrongValue("not valid JSON: it ends too early")
        end = self._end()
        # A number at the end of what was read may go on.
        while (end is None or end == len(self._text)) and len(self._text) - self._at <= _LONGEST_ITEM and self._more():
            end = self._end()
        if len(self._text) - self._at > _LONGEST_ITEM and end is None:
            raise WrongValue(f"not valid JSON, or longer than {_LONGEST_ITEM} characters")
        return self._parsed(len(self._text) if end is None else end)

    def _end(self) -> int | None:
        """Where the value that begins here ends; None if not in what was read so far."""
        try:
            return _SCANNER.raw_decode(self._text, self._at)[1]
        except json.JSONDecodeError:
            return None
        except RecursionError as error:
            raise WrongValue("not valid JSON: nested too deeply") from error

    def _parsed(self, end: int) -> Any:
        text, self._at = self._text[self._at : end], end
        return values.parsed(text.encode())

    def _more(self) -> bool:
        """Read on; False at the end."""
        if self._ended:
            return False
        raw = self._source.read(self._chunk)
        self._ended = not raw
        try:
            self._text = self._text[self._at :] + self._decoder.decode(raw, final=self._ended)
        except UnicodeDecodeError as error:
            raise WrongValue("not UTF-8") from error
        self._at = 0
        return True
