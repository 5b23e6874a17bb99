"""A story as it happens: each step through HTTP to the service, and the same in `tests/oracle.py`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any

import redis

from tests.client import Client
from tests.conftest import SetClock
from tests.fresh import begin_anew
from tests.oracle import Board, Entry, OutOfRange, Place, Play, Rules, Standings, read_instant, show_instant
from tests.stories import (
    DAY_S,
    LATE_S,
    WEEK_S,
    Batch,
    Befriend,
    Correct,
    Erase,
    Remove,
    Reset,
    Step,
    Submit,
    Wait,
)

#: Board ids that no process has cached yet.
_fresh_ids = (f"board-{n}" for n in count())


@dataclass
class Run:
    """One board, defined anew in an empty store, with its oracle."""

    api: Client
    clock: SetClock
    rules: Rules
    board: str = field(default_factory=lambda: next(_fresh_ids))

    def __post_init__(self) -> None:
        self.oracle = Board(self.rules)
        self.api.define(
            self.board,
            **self.rules.definition(),
            # None settles within a story: in settled standings an erased player leaves a nameless entry, of an id that
            # only the store knows (tests/test_privacy.py).
            periods=[
                {"kind": "season", "keep_days": None, "settle_delay_s": 365 * DAY_S},
                {"kind": "alltime"},
                {"kind": "weekly", "keep_days": 366, "settle_delay_s": 365 * DAY_S},
            ],
            late_s=LATE_S,
            rules={"rate": None},
        )

    def do(self, step: Step) -> None:
        match step:
            case Submit():
                self._submit(step)
            case Batch():
                self._batch(step)
            case Correct():
                self._correct(step)
            case Remove():
                self._remove(step)
            case Erase():
                self._erase(step)
            case Befriend():
                self._befriend(step)
            case Reset():
                season = f"s{self.oracle.season}"
                self.api.admin.post(f"/v1/admin/boards/{self.board}/reset", {"season": season})
                self.oracle.reset()
            case Wait():
                self.clock.pass_ms(step.ms)

    def _play(self, submit: Submit) -> Play:
        now = self.clock.now_ms()
        stated = submit.ago_ms is not None
        achieved_at = now - submit.ago_ms if submit.ago_ms is not None else now
        return Play(submit.player, submit.score, submit.tiebreaks, achieved_at, stated, submit.metadata)

    def body(self, play: Play) -> dict[str, Any]:
        body: dict[str, Any] = {"player": play.player, "score": self.written(play.score)}
        if play.tiebreaks:
            names = [name for name, _ in self.rules.tiebreaks]
            # One that is 0 is left out: that is what it means.
            body["tiebreaks"] = {name: value for name, value in zip(names, play.tiebreaks, strict=True) if value}
        if play.stated:
            body["achieved_at"] = show_instant(play.achieved_at)
        if play.metadata is not None:
            body["metadata"] = play.metadata
        return body

    def written(self, score: int) -> int | float:
        """A scaled score as a client would write it: a double prints its fifteen digits exactly."""
        unit = 10**self.rules.decimals
        if score % unit == 0:
            return score // unit
        return score / unit

    def _expected(self, play: Play) -> tuple[str | None, list[dict[str, Any]]]:
        """Submit to the oracle: an error code, or what each standings is to say."""
        if play.player in self.oracle.erased:
            return "player_erased", []
        try:
            done = self.oracle.submit(play)
        except OutOfRange:
            return "score_out_of_range", []
        return None, [
            {
                "period_id": period_id,
                "changed": changed,
                "previous_rank": before,
                "rank": after,
                "score": self.shown_score(score),
            }
            for period_id, changed, before, after, score in done
        ]

    def _submit(self, submit: Submit) -> None:
        play = self._play(submit)
        response = self.api.server.call("POST", f"/v1/boards/{self.board}/submissions", self.body(play))
        answer = exactly(response.text)
        error, standings = self._expected(play)
        if error:
            assert (response.status_code, answer["code"]) == (410 if error == "player_erased" else 422, error)
            return
        assert response.status_code == 200, response.text
        self._check_result(answer, standings)

    def _batch(self, batch: Batch) -> None:
        plays = [self._play(submit) for submit in batch.submissions]
        items = [{"board": self.board} | self.body(play) for play in plays]
        response = self.api.server.call("POST", "/v1/submissions/batch?ranks=true", {"submissions": items})
        assert response.status_code == 200, response.text
        results = exactly(response.text)["results"]
        assert [result["index"] for result in results] == list(range(len(plays)))
        for play, result in zip(plays, results, strict=True):
            error, standings = self._expected(play)
            assert (result["error"] and result["error"]["code"]) == error
            if not error:
                self._check_result(result, standings)

    def _check_result(self, result: dict[str, Any], standings: list[dict[str, Any]]) -> None:
        assert [{name: one[name] for name in standings[0]} for one in result["standings"]] == standings
        assert result["outcome"] == ("applied" if any(one["changed"] for one in standings) else "kept")

    def period(self, period: str) -> tuple[str, str] | None:
        """The query and the period id of a period that can be corrected now."""
        if period == "previous":
            number = self.oracle.season - 1
            return ("?period=season&period_id=previous", f"s{number}") if number else None
        season, alltime, weekly = self.oracle.counts_in(self.clock.now_ms())
        return f"?period={period}", {"season": season, "alltime": alltime, "weekly": weekly}[period]

    def _correct(self, step: Correct) -> None:
        found = self.period(step.period)
        if found is None:
            return
        query, period_id = found
        play = self._play(step.submission)
        body = self.body(play) | {"reason": "replay checked"}
        del body["player"]
        path = f"/v1/admin/boards/{self.board}/entries/{play.player}{query}"
        if play.player in self.oracle.erased:
            self.api.admin.put(path, body, expect=410)
            return
        self.oracle.correct(period_id, play)
        response = self.api.admin.call("PUT", path, body)
        assert response.status_code == 200, response.text
        assert exactly(response.text)["entry"] == self.shown_row(
            (self.oracle.at(period_id).rank(play.player), self.oracle.at(period_id).entry(play.player))
        )

    def _remove(self, step: Remove) -> None:
        found = self.period(step.period)
        if found is None:
            return
        query, period_id = found
        removed = self.oracle.at(period_id).remove(step.player)
        path = f"/v1/admin/boards/{self.board}/entries/{step.player}{query}&reason=cheated"
        self.api.admin.delete(path, expect=204 if removed else 404)

    def _erase(self, step: Erase) -> None:
        path = f"/v1/players/{step.player}"
        if step.player in self.oracle.erased:
            self.api.server.delete(path, expect=410)
        elif step.player not in self.oracle.known:
            self.api.server.delete(path, expect=404)
        else:
            self.api.server.delete(path)
            self.oracle.erase(step.player)

    def _befriend(self, step: Befriend) -> None:
        there = self.oracle.known - self.oracle.erased
        others = [other for other in step.others if other in there and other != step.player]
        if step.player in there and others:
            self.api.server.put(f"/v1/players/{step.player}/friends", {"players": others})
            self.oracle.befriend(step.player, others)

    def shown_score(self, score: int) -> int | Decimal:
        return Decimal(score).scaleb(-self.rules.decimals) if self.rules.decimals else score

    def shown_row(self, row: tuple[int, Entry]) -> dict[str, Any]:
        rank, entry = row
        names = [name for name, _ in self.rules.tiebreaks]
        return {
            "rank": rank,
            "player": {"id": entry.player, "display_name": None, "avatar_url": None, "country": None},
            "score": self.shown_score(entry.score),
            "tiebreaks": dict(zip(names, entry.tiebreaks, strict=True)),
            "metadata": entry.metadata,
            "achieved_at": show_instant(entry.achieved_at),
        }

    def shown(self, rows: list[tuple[int, Entry]]) -> list[dict[str, Any]]:
        return [self.shown_row(row) for row in rows]

    def place(self, shown: dict[str, Any]) -> Place:
        """Where an entry stands, as it was shown: whatever else became of it since."""
        tiebreaks = tuple(shown["tiebreaks"].values())
        scaled = int(Decimal(shown["score"]).scaleb(self.rules.decimals))
        result = Standings(self.rules).result_key(scaled, tiebreaks)
        return (*result, read_instant(shown["achieved_at"]), shown["player"]["id"].encode())

    def read(self, path: str, body: Any = None) -> Any:
        response = self.api.server.call("POST" if body else "GET", f"/v1/boards/{self.board}/{path}", body)
        assert response.status_code == 200, f"{path}: {response.text}"
        answer = exactly(response.text)
        if self.rules.decimals == 0:
            # 1 == Decimal("1.0"), but it is written without a point.
            assert all(isinstance(entry["score"], int) for entry in answer.get("entries", []))
        return answer


@dataclass
class Start:
    """Begins an example: an empty store, always at the same instant, and a board nobody has heard of.

    It is half past midnight on a Monday, so what is LATE_S old belongs to last week.
    """

    api: Client
    clock: SetClock
    raw: redis.Redis
    store_url: str

    def __post_init__(self) -> None:
        self.at_ms = self.clock.at_ms + _until_monday_ms(self.clock.at_ms) + LATE_S * 500

    def __call__(self, rules: Rules) -> Run:
        begin_anew(self.raw, self.store_url)
        self.clock.at_ms = self.at_ms
        return Run(self.api, self.clock, rules)


def exactly(text: str) -> Any:
    """JSON with the numbers as they are written."""
    return json.loads(text, parse_float=Decimal)


def _until_monday_ms(now_ms: int) -> int:
    # 1970-01-05 was a Monday.
    return -(now_ms - 4 * DAY_S * 1000) % (WEEK_S * 1000)
