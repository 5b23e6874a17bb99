"""Display names: what they may look like, and the words that a game does not want in them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard import create_app
from leaderboard.blocklist import NameBlocklist, fold
from leaderboard.errors import SettingError
from leaderboard.names import BYTES_MOST, CHARACTERS_MOST, NameFaultError, to_display_name
from leaderboard.settings import Settings
from tests.client import Client
from tests.conftest import SetClock
from tests.contract import Contract

KISS = "\U0001f468\U0001f3fb\u200d\u2764\ufe0f\u200d\U0001f48b\u200d\U0001f468\U0001f3ff"
FAMILY = "\U0001f468\U0001f3fb\u200d\U0001f469\U0001f3fb\u200d\U0001f467\U0001f3fb\u200d\U0001f466\U0001f3fb"
WALES = "\U0001f3f4\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f"
TAGGED = "\U0001f3f4\U000e0061\U000e0062\U000e007f"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Ada  ", "Ada"),
        ("\u00a0Ada\u2028\n", "Ada"),
        ("\uff21\uff44\uff41", "Ada"),
        ("e\u0301", "\u00e9"),
        ("\u2163", "IV"),
        ("x" * 40, "x" * 40),
        (KISS, KISS),
        (FAMILY * 8, FAMILY * 8),
        (WALES, WALES),
        ("\u2764\ufe0f", "\u2764\ufe0f"),
        ("1\ufe0f\u20e3", "1\ufe0f\u20e3"),
        # An ideograph and letters afterwards, which take no variation selector.
        ("\u3299\ufe0f\u2122\ufe0f", "\u79d8TM"),
        # Newer than the tables of Python 3.11.
        ("\U0001fa77", "\U0001fa77"),
        # Persian's non-joiner, and Devanagari's joiner after a virama.
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),
        # Tibetan and Sanskrit stack as high as anybody.
        ("\u0f67\u0f71\u0f74\u0f83", "\u0f67\u0f71\u0f74\u0f83"),
        ("\u0930\u094d\u0924\u094d\u0938\u094d\u0928\u0902", "\u0930\u094d\u0924\u094d\u0938\u094d\u0928\u0902"),
    ],
)  # fmt: skip
def test_a_name_is_kept_in_one_form(given: str, kept: str) -> None:
    assert to_display_name(given) == kept


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("", "blank"),
        ("\u00a0 \u3000", "blank"),
        ("\u200b", "blank"),
        ("\u0301", "blank"),
        ("x" * 41, "too_long"),
        # 18 letters each.
        ("\ufdfa" * 3, "too_long"),
        (FAMILY * 40, "too_long"),
        ("a\u0000b", "invisible_character"),
        ("a\tb", "invisible_character"),
        ("a\u2028b", "invisible_character"),
        ("a\ud800", "invisible_character"),
        ("a\ue000", "invisible_character"),
        ("a\U000e01ffb", "invisible_character"),
        ("a\uffff", "invisible_character"),
        *((f"a{hidden}b", "invisible_character") for hidden in "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e"),
        *((f"a{bidi}b", "invisible_character") for bidi in "\u061c\u200e\u200f\u202a\u202b\u202d\u202e\u2066\u2069"),
        ("a\ufe0f", "invisible_character"),
        ("1\ufe0f", "invisible_character"),
        ("a\u3164\uffa0", "invisible_character"),
        ("\u2800", "invisible_character"),
        (TAGGED, "invisible_character"),
        (f"{KISS}\u200d", "invisible_character"),
        ("\u2764\u200da", "invisible_character"),
        # At the end of a name nothing shows of it.
        ("\u0915\u094d\u200d", "invisible_character"),
        ("e" + "\u0301" * 6, "too_many_marks"),
        ("e" + "\u0301\u0489" * 4, "too_many_marks"),
        ("\u1100" * 13, "too_many_marks"),
        ("\u0301a", "too_many_marks"),
    ],
)  # fmt: skip
def test_a_name_that_hides_something_is_refused(given: str, code: str) -> None:
    with pytest.raises(NameFaultError) as fault:
        to_display_name(given)
    assert fault.value.code == code


ODD = "\u200d\u200c\ufe0f\u0301\u094d\u2764\U0001f468\U0001f3fb #1\u20e3\ufdfa\u3299"


@given(st.text(st.characters() | st.sampled_from(ODD), max_size=50))
def test_what_is_kept_is_taken_again_as_it_is(text: str) -> None:
    try:
        name = to_display_name(text)
    except NameFaultError:
        return
    assert to_display_name(name) == name
    assert len(name) >= 1
    assert len(name.encode()) <= BYTES_MOST
    assert not {*"\u200b\u202e\u2066\u00ad\ufeff\u0000"} & set(name)


def test_a_wrong_name_is_told_by_its_code(api: Client) -> None:
    for name, code in (("a\u202eb", "invisible_character"), ("x" * (CHARACTERS_MOST + 1), "too_long"), ("", "blank")):
        problem = api.server.put("/v1/players/alice", {"display_name": name}, expect=422)
        assert problem["errors"] == [
            {"pointer": "/display_name", "code": code, "detail": problem["errors"][0]["detail"]}
        ]
    shown = api.server.put("/v1/players/alice", {"display_name": f" \uff21lice {KISS} "}, expect=201)
    assert shown["display_name"] == f"Alice {KISS}"


# -- the blocklist ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("B.a-d W\u00f6rd_1!", "badword1"),
        ("\uff22\u24d0\u24d3", "bad"),
        ("b\u0336a\u0336d\u0336", "bad"),
        ("STRASSE", "strasse"),
        ("Stra\u00dfe", "strasse"),
        ("\u0130d", "id"),
        # Vowels of a script that writes them as marks stay.
        ("\u0915\u093e", "\u0915\u093e"),
        ("*** ~", ""),
    ],
)
def test_names_are_compared_without_case_accents_and_separators(text: str, folded: str) -> None:
    assert fold(text) == folded
    assert fold(folded) == folded


def write_words(path: Path, text: str, at_s: int) -> None:
    """Replaced as a whole, as editors do, and each time at another instant."""
    new = path.with_suffix(".new")
    new.write_text(text, "utf-8")
    os.utime(new, (at_s, at_s))
    new.replace(path)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    path = tmp_path / "words"
    write_words(path, "\ufeff# ours\nBad Word  # anywhere\n\n=admin\nsch\u00e4dling\n", 1)
    return path


@pytest.fixture
def guarded(settings: Settings, clock: SetClock, words: Path) -> Iterator[Client]:
    app = create_app(replace(settings, name_blocklist=words), clock)
    contract = Contract(app)
    yield Client(app.test_client())
    app.extensions["leaderboard"].close()
    assert not contract.broken


@pytest.mark.parametrize("name", ["xBADw\u00f6rdx", "b a d w o r d", "A.D.M.I.N", "\uff33ch\u00e4dlinge"])
def test_a_name_with_a_word_of_the_list_is_refused(words: Path, name: str) -> None:
    assert NameBlocklist(words).refuses(name)


@pytest.mark.parametrize("name", ["badminton", "administrator", "ours", "anywhere", "***"])
def test_other_names_are_not(words: Path, name: str) -> None:
    assert not NameBlocklist(words).refuses(name)


def test_without_a_list_every_name_passes() -> None:
    assert not NameBlocklist(None).refuses("admin")


def test_the_list_is_read_anew_when_it_changes_and_kept_when_it_is_wrong(
    words: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocklist = NameBlocklist(words)
    write_words(words, "new\n", 2)
    assert blocklist.refuses("new")
    assert not blocklist.refuses("admin")
    with caplog.at_level(logging.ERROR):
        write_words(words, "other\n***\n", 3)
        assert blocklist.refuses("new")
        assert not blocklist.refuses("other")
        words.unlink()
        assert blocklist.refuses("new")
        assert blocklist.refuses("new")
    assert len(caplog.records) == 2
    assert "line 2" in caplog.text
    write_words(words, "other\n", 4)
    assert blocklist.refuses("other")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"fine\n=\n", b"***"])
def test_a_list_that_cannot_be_read_is_refused_at_the_start(words: Path, content: bytes) -> None:
    words.write_bytes(content)
    with pytest.raises(SettingError, match="LEADERBOARD_NAME_BLOCKLIST"):
        NameBlocklist(words)
    words.unlink()
    with pytest.raises(SettingError, match="LEADERBOARD_NAME_BLOCKLIST"):
        NameBlocklist(words)


def test_nobody_gets_a_name_of_the_list(guarded: Client, words: Path, raw: Any) -> None:
    api, device = guarded, "d" * 32
    alice = api.player("alice")
    for caller, path in ((alice, "/v1/players/me"), (api.server, "/v1/players/alice")):
        problem = caller.patch(path, {"display_name": "\uff21dmin"}, expect=422)
        assert [(at["pointer"], at["code"]) for at in problem["errors"]] == [("/display_name", "name_not_allowed")]
    api.server.put("/v1/players/bob", {"display_name": "Bad Word"}, expect=422)
    api.get("/v1/players/bob", expect=404)
    api.post("/v1/sessions", {"device_id": device, "display_name": "Admin"}, expect=422)
    assert not [key for key in raw.scan_iter() if b"device" in key]
    # Who has a name keeps it, and goes on signing in with it, when the list grows.
    first = api.post("/v1/sessions", {"device_id": device, "display_name": "Ada"}, expect=201)
    write_words(words, "ada\n", 2)
    again = api.post("/v1/sessions", {"device_id": device, "display_name": "Ada"}, expect=201)
    assert again["player"] == first["player"]
    Client(api.http, again["token"]).patch("/v1/players/me", {"avatar_url": "https://example.org/a.png"})
    Client(api.http, again["token"]).patch("/v1/players/me", {"display_name": "Ada"}, expect=422)
