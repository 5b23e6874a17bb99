"""Display names: what one may look like. The words that a game does not want in them are in `blocklist`.

Characters are counted as people see them, by grapheme cluster (UAX #29). Unicode's tables come with `regex`, so that
an emoji does not depend on how old the Python is.
"""

from __future__ import annotations

import unicodedata

import regex

from leaderboard.errors import LeaderboardError

#: Grapheme clusters in a name.
CHARACTERS_MOST = 40

#: Code points in one of them: the longest emoji that are in use, families of four with skin tones, have 11.
CODE_POINTS_MOST = 12

#: Nonspacing marks in a row, after decomposition (UTS #39, 5.4); no language needs more.
MARKS_MOST = 4

#: UTF-8 bytes of a whole name: 40 characters of any script.
BYTES_MOST = 512

#: code → what it means, as callers are told.
FAULTS = {
    "too_long": f"at most {CHARACTERS_MOST} characters and {BYTES_MOST} bytes",
    "invisible_character": "no control or invisible characters, nor such as turn the text around",
    "too_many_marks": f"at most {MARKS_MOST} marks in a row, and {CODE_POINTS_MOST} code points to a character",
    "blank": "nothing to be seen",
}

_ELEMENT = r"\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0E\uFE0F]?"
#: As in UTS #51; of the flags that are spelled with invisible tags only the three that there are, as tags could say
#: anything: England's, Scotland's and Wales's.
_EMOJI = regex.compile(
    rf"{_ELEMENT}(?:\u200D{_ELEMENT})*"
    r"|\p{Regional_Indicator}{2}"
    r"|[0-9#*]\uFE0F?\u20E3"
    r"|\U0001F3F4\U000E0067\U000E0062(?:\U000E0065\U000E006E\U000E0067|\U000E0073\U000E0063\U000E0074"
    r"|\U000E0077\U000E006C\U000E0073)\U000E007F"
)

#: Where a joiner shapes what is around it, as in domain names (RFC 5892, A.1 and A.2): after a virama, or the
#: non-joiner between two letters that would join.
_JOINER = regex.compile(
    r"(?<=\p{ccc=Virama})[\u200C\u200D](?=\p{L})"
    r"|(?<=[\p{jt=L}\p{jt=D}]\p{jt=T}*)\u200C(?=\p{jt=T}*[\p{jt=R}\p{jt=D}])"
)

#: Nowhere: controls, surrogates, private use, unassigned, line and paragraph separators, and the blank of Braille.
_NEVER = regex.compile(r"[\p{Cc}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u2800]")
#: Not outside an emoji: format characters, joiners, bidi controls, fillers, variation selectors, tags.
_HIDDEN = regex.compile(r"[\p{Cf}\p{Default_Ignorable_Code_Point}]")

_CLUSTER = regex.compile(r"\X")
_VARIANT = regex.compile(r"(.)[\uFE0E\uFE0F]")
_MARKS = regex.compile(rf"[\p{{Mn}}\p{{Me}}]{{{MARKS_MOST + 1},}}")
_SEEN = regex.compile(r"[^\p{M}\p{Z}\p{C}]")


class NameFaultError(LeaderboardError):
    """A display name that nobody may have; `code` is one of FAULTS."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(FAULTS[code])


def to_display_name(text: str) -> str:
    """A name as it is kept: NFKC, without blanks around it; making one of it again changes nothing.

    Raises NameFaultError.
    """
    text = text.strip()
    if _NEVER.search(text):
        raise NameFaultError("invisible_character")
    # What is a letter or a digit from here on takes no variation selector any more.
    text = _VARIANT.sub(lambda found: found[0][: 1 + unicodedata.is_normalized("NFKC", found[1])], text)
    name = unicodedata.normalize("NFKC", text).strip()
    if not _SEEN.search(name):
        raise NameFaultError("blank")
    if len(name.encode()) > BYTES_MOST:
        raise NameFaultError("too_long")
    clusters = _CLUSTER.findall(name)
    if len(clusters) > CHARACTERS_MOST:
        raise NameFaultError("too_long")
    # One visible character stands for each emoji, so that none of its neighbours gets a wrong one.
    plain = "".join("\u25a1" if _EMOJI.fullmatch(cluster) else cluster for cluster in clusters)
    if _HIDDEN.search(_JOINER.sub("", plain)):
        raise NameFaultError("invisible_character")
    if (
        max(map(len, clusters)) > CODE_POINTS_MOST
        or _MARKS.search(unicodedata.normalize("NFD", name))
        # It would stand on whatever is before the name.
        or regex.match(r"\p{M}", name)
    ):
        raise NameFaultError("too_many_marks")
    return name
