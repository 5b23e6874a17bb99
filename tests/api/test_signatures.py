"""Signed submissions: only what was signed with the session's own key counts, and what is refused leaves no trace."""

from __future__ import annotations

import pytest

from tests.client import Client
from tests.conftest import SetClock
from tests.signing import Signer

BODY = b'{"score": 10}'


@pytest.fixture
def board(api: Client) -> Client:
    """`main` demands signatures, `open` does not."""
    api.define("main", periods=[{"kind": "alltime"}], rules={"signed": True})
    api.define("open", periods=[{"kind": "alltime"}])
    return api


@pytest.fixture
def now_s(clock: SetClock) -> int:
    return clock.now_ms() // 1000


def test_a_submission_that_is_signed_counts(board: Client, now_s: int) -> None:
    answer = Signer.of(board, "alice").submit(10, "k", now_s)
    assert answer.status_code == 200, answer.text
    assert board.table() == [(1, "alice", 10)]


def test_a_board_that_demands_it_takes_no_other(board: Client, now_s: int) -> None:
    answer = Signer.of(board, "alice").send(None, BODY, "k")
    assert (answer.status_code, answer.get_json()["code"]) == (401, "signature_required")
    assert board.table() == []
