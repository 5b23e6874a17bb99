"""Ids from elsewhere become ids here: always the same ones, and never two of them one."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.api.fields import BOARD_ID, PLAYER_ID, RESERVED_PLAYERS
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.ids import IdMap, made_of


def made(foreign_id: bytes) -> str:
    return "x_" + sha256(foreign_id).hexdigest()[:24]


@pytest.mark.parametrize(
    ("foreign_id", "player"),
    [
        ("neo", "neo"),
        ("0198a000-0000-7000-8000-000000000001", "0198a000-0000-7000-8000-000000000001"),
        ("steam|7656119", "steam|7656119"),
        ("a" * 64, "a" * 64),
        ("a" * 65, made(b"a" * 65)),
        ("", made(b"")),
        ("me", made(b"me")),
        ("current", made(b"current")),
        ("batch", made(b"batch")),
        ("Me", "Me"),
        ("p_0123456789abcdef", made(b"p_0123456789abcdef")),
        ("neo\n", made(b"neo\n")),
        ("-neo", made(b"-neo")),
        ("a:b{c}*", made(b"a:b{c}*")),
        ("n\u00e9o", made(b"n\xc3\xa9o")),
        (b"n\xe9o".decode("utf-8", "surrogateescape"), made(b"n\xe9o")),
    ],
)
def test_a_player_id_stays_if_it_fits_and_else_is_made(foreign_id: str, player: str) -> None:
    ids = IdMap(None)
    assert ids.player(foreign_id) == player
    assert ids.player(foreign_id) == player
    assert ids.made == (foreign_id != player)


@pytest.mark.parametrize(
    ("foreign_id", "board"),
    [
        ("kills-year2026week47", "kills-year2026week47"),
        ("me", "me"),
        ("Kills", made(b"Kills")),
        ("a.b", made(b"a.b")),
        ("Speed Run!", made(b"Speed Run!")),
    ],
)
def test_a_board_id_stays_if_it_fits_and_else_is_made(foreign_id: str, board: str) -> None:
    ids = IdMap(None)
    assert ids.board(foreign_id) == board
    assert ids.made == (foreign_id != board)


def test_the_file_says_which_and_is_added_to(tmp_path: Path) -> None:
    path, boards = tmp_path / "players.csv", tmp_path / "boards.csv"
    smith = made(b'Mr "Smith"\n')
    path.write_text("from,to\nNeo!,neo\nold neo,neo\nmine,p_0123456789abcdef\n")
    with IdMap(path, boards) as ids:
        assert [ids.player(name) for name in ("Neo!", "old neo", "mine", "trinity")] == [
            "neo",
            "neo",
            "p_0123456789abcdef",
            "trinity",
        ]
        assert ids.made == 0
        assert ids.player('Mr "Smith"\n') == smith
        assert ids.board("Kills") == made(b"Kills")
        assert ids.made == 2
    assert path.read_text() == (
        f'from,to\nNeo!,neo\nold neo,neo\nmine,p_0123456789abcdef\n"Mr ""Smith""\n","{smith}"\n'
    )
    assert boards.read_text() == f'"from","to"\n"Kills","{made(b"Kills")}"\n'
    with IdMap(path, boards) as again:
        assert again.player('Mr "Smith"\n') == smith
        assert again.board("Kills") == made(b"Kills")
        assert again.made == 0


def test_what_an_operator_changes_in_the_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "players.csv"
    with IdMap(path) as ids:
        ids.player("Neo!")
    path.write_text(path.read_text().replace(made(b"Neo!"), "the.one"))
    assert IdMap(path).player("Neo!") == "the.one"


def test_a_file_out_of_a_spreadsheet_is_read_and_added_to(tmp_path: Path) -> None:
    path = tmp_path / "players.csv"
    path.write_bytes("\ufefffrom,to\r\nNeo!,neo\r\n\r\nN\u00e9o,neo2".encode())
    with IdMap(path) as ids:
        assert ids.player("N\u00e9o") == "neo2"
        ids.player("Trinity!")
    with IdMap(path) as ids:
        assert [ids.player(name) for name in ("Neo!", "N\u00e9o")] == ["neo", "neo2"]
        ids.player("Trinity!")
        assert ids.made == 0


@pytest.mark.parametrize("content", ["", "from,to", "from,to\n"])
def test_a_file_without_ids_can_be_added_to(tmp_path: Path, content: str) -> None:
    path = tmp_path / "players.csv"
    path.write_text(content)
    with IdMap(path) as ids:
        ids.player("Neo!")
    assert path.read_text().replace('"', "") == f"from,to\nNeo!,{made(b'Neo!')}\n"


def test_nothing_is_written_where_nothing_is_made(tmp_path: Path) -> None:
    with IdMap(tmp_path / "players.csv") as ids:
        ids.player("neo")
    assert not (tmp_path / "players.csv").exists()


def test_many_made_ids_are_written_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "players.csv"
    ids = IdMap(path)
    for number in range(2500):
        ids.player(f"player {number}")
    assert len(path.read_text().splitlines()) == 1 + 2000
    ids.close()
    ids.close()
    assert len(path.read_text().splitlines()) == 1 + 2500


@pytest.mark.parametrize("order", [("Neo!", "neo"), ("neo", "Neo!")])
def test_an_id_that_fits_does_not_become_one_with_another_that_is_mapped_to_it(
    tmp_path: Path, order: tuple[str, str]
) -> None:
    path = tmp_path / "players.csv"
    path.write_text("from,to\nNeo!,neo\n")
    ids = IdMap(path)
    with pytest.raises(SourceError, match=r"the player ids 'Neo!' and 'neo' would both become 'neo'"):
        _ = [ids.player(foreign_id) for foreign_id in order]
    path.write_text("from,to\nNeo!,neo\nneo,neo\n")
    ids = IdMap(path)
    assert [ids.player(foreign_id) for foreign_id in order] == ["neo", "neo"]


@pytest.mark.parametrize("in_between", [False, True])
@pytest.mark.parametrize("first", ["Neo!", made(b"Neo!")])
def test_nobody_gets_anothers_place_by_taking_its_made_id_as_a_name(
    tmp_path: Path, first: str, in_between: bool
) -> None:
    path = tmp_path / "players.csv"
    (second,) = {"Neo!", made(b"Neo!")} - {first}
    ids = IdMap(path)
    assert ids.player(first) == made(b"Neo!")
    if in_between:
        ids.close()
        ids = IdMap(path)
        assert ids.player(first) == made(b"Neo!")
    with pytest.raises(SourceError, match="would both become"):
        ids.player(second)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Neo!,neo\n", "line 1: the header is not from,to"),
        ("from;to\nNeo!;neo\n", "line 1: the header is not from,to"),
        ("from,to\nNeo!\n", "line 2: 1 cells where there are two columns"),
        ("from,to\nNeo!,neo,x\n", "line 2: 3 cells where there are two columns"),
        ("from,to\na,b\nNeo!,Neo!\n", "line 3: 'Neo!' is not a player id"),
        ("from,to\nNeo!,\n", "line 2: '' is not a player id"),
        ("from,to\nNeo!,me\n", "line 2: 'me' is not a player id"),
        ("from,to\nNeo!,a\nNeo!,b\n", "line 3: 'Neo!' already becomes 'a'"),
        ('from,to\n"Neo!","a', "line 2: not CSV: unexpected end of data"),
    ],
)
def test_a_file_that_is_not_right_is_refused_with_its_line(tmp_path: Path, content: str, expected: str) -> None:
    path = tmp_path / "players.csv"
    path.write_text(content)
    with pytest.raises(SourceError) as caught:
        IdMap(path)
    assert str(caught.value) == f"{path}, {expected}"


def test_a_file_that_cannot_be_read_or_written_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        IdMap(tmp_path)
    ids = IdMap(tmp_path / "none" / "players.csv")
    ids.player("Neo!")
    with pytest.raises(SourceError, match="cannot be written: No such file or directory"):
        ids.close()


#: Texts as UTF-8 and bytes of any kind, among them ids that fit and such as look made.
FOREIGN = st.one_of(
    st.text(max_size=70),
    st.binary(max_size=70).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.sampled_from(["me", "p_1", "x_", "neo", "Neo", '"', '","', "\r", "\r\n", "from", made_of("from,to")]),
)


@settings(deadline=None)
@given(foreign_ids=st.lists(FOREIGN, unique=True, max_size=20))
def test_any_ids_become_different_ids_that_fit_now_and_next_time(
    tmp_path_factory: pytest.TempPathFactory, foreign_ids: list[str]
) -> None:
    path, boards = (tmp_path_factory.mktemp("ids") / name for name in ("players.csv", "boards.csv"))
    with IdMap(path, boards) as ids:
        players = [ids.player(foreign_id) for foreign_id in foreign_ids]
        named = [ids.board(foreign_id) for foreign_id in foreign_ids]
    assert all(PLAYER_ID.fullmatch(player) and player not in RESERVED_PLAYERS for player in players)
    assert all(BOARD_ID.fullmatch(board) for board in named)
    assert len(set(players)) == len(set(named)) == len(foreign_ids)
    with IdMap(path, boards) as again:
        assert [again.player(foreign_id) for foreign_id in reversed(foreign_ids)] == players[::-1]
        assert [again.board(foreign_id) for foreign_id in reversed(foreign_ids)] == named[::-1]
        assert again.made == 0
