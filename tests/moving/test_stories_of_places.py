"""Random stories of entries that are equal in nearly all.

Whoever is erased, banned, merged, moved or imported: what is final stays in its place, nothing is left of an id that
was erased, the archive has what the store has, and an export that is imported again changes nothing.
`pytest -m slow` tells many more of them.
"""

from __future__ import annotations

import io
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from leaderboard.entries import STAND_IN, shown_part
from leaderboard.moving.export import Format, export_board
from leaderboard.settings import Settings
from tests.conftest import SetClock
from tests.keeping.contents import archived_standings, every_key, every_table, stored_standings
from tests.moving.places import DAY_MS, Place, places, take_rows, take_text
from tests.oracle import show_instant

HOUR_MS = 3_600_000

#: Some begin as others do.
PLAYERS = ["qz", "qz0", "qz-", "qzb", "qz~", "qz00", "qz0-", "qzbb", "qzB", "qz|", "qz1", "qzz"]

#: Only the archive has its standings.
LONG_AGO = "2024-03-01"

FEW, MANY = range(6), range(6, 120)


@pytest.fixture
def place(settings: Settings, clock: SetClock) -> Iterator[Place]:
    clock.at_ms = clock.at_ms // DAY_MS * DAY_MS + DAY_MS // 2
    with places(settings, clock, "lb") as (made,):
        day = {"kind": "daily", "keep_days": 60, "settle_delay_s": 6 * 3600}
        made.api.define(ties="ordinal", late_s=6 * 3600, periods=[day, {"kind": "alltime"}])
        made.drain()
        yield made


class Story:
    def __init__(self, place: Place, raw: redis.Redis, folder: Path, seed: int) -> None:
        self._place, self._raw, self._folder, self._random = place, raw, folder, random.Random(seed)
        self._noon_ms, self._erased = place.clock.at_ms, set[str]()

    def act(self) -> None:
        acts = [
            self._submit,
            self._import,
            self._import,
            self._erase,
            self._act_on,
            self._pass_time,
            self._import_again,
        ]
        act = self._random.choice(acts)
        before = self._final()
        act()
        self._place.drain()
        if act != self._import:
            self._assert_in_place(before, self._final())

    def check(self) -> None:
        archived = archived_standings(self._place.lb.archive)
        archived.pop(("main", LONG_AGO), None)
        assert stored_standings(self._raw) == archived
        if self._erased:
            self._assert_nothing_left()

    # -- acts ----------------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        body = {"player": self._player(), "score": self._random.randrange(2), "achieved_at": self._instant()}
        self._call("POST", "/v1/boards/main/submissions", body)

    def _import(self) -> None:
        """Players in the order of their ids, as an export has them, and nameless ones between them."""
        clock, lines = self._place.clock, []
        back = self._random.randrange(3)
        day = self._random.choice([LONG_AGO, show_instant(clock.at_ms - back * DAY_MS)[:10]])
        score, at = self._random.randrange(2), show_instant(self._noon_ms)
        for player in sorted(self._random.sample(PLAYERS, self._random.randrange(1, 6))):
            nameless = (f"-{self._random.randrange(16**12):012x}" for _ in range(self._random.randrange(3)))
            lines += [f"{one},{score},{day},{at}" for one in (player, *nameless)]
        text = "\n".join(["player,score,period_id,achieved_at", *lines, ""])
        take_text(self._place, self._folder / "rows", text, "main", anew=True)

    def _erase(self) -> None:
        player = self._player()
        if self._call("DELETE", f"/v1/players/{player}") == 204:
            self._erased.add(player)

    def _act_on(self) -> None:
        player, day = self._player(), show_instant(self._place.clock.at_ms - self._random.randrange(2) * DAY_MS)[:10]
        entry = f"/v1/admin/boards/main/entries/{player}?period=daily&period_id={day}"
        match self._random.choice(["ban", "merge", "correct", "remove"]):
            case "ban":
                self._call("PUT", f"/v1/admin/players/{player}/ban", {"kind": "shadow", "reason": "x"})
            case "merge":
                into = self._player()
                self._call("POST", f"/v1/players/{player}/merge", {"into": into})
            case "correct":
                self._call("PUT", entry, {"score": 1, "reason": "x", "achieved_at": self._instant()})
            case "remove":
                self._call("DELETE", f"{entry}&reason=x")

    def _pass_time(self) -> None:
        self._place.clock.pass_ms(self._random.choice([1, 6, 12, 24]) * HOUR_MS)
        if self._place.clock.at_ms - self._noon_ms >= DAY_MS:
            self._noon_ms += DAY_MS

    def _import_again(self) -> None:
        file, path = io.BytesIO(), self._folder / "main.jsonl"
        export_board(self._place.lb, "main", file, Format.JSONL)
        path.write_bytes(file.getvalue())
        before = archived_standings(self._place.lb.archive), stored_standings(self._raw)
        take_rows(self._place, path, anew=True)
        assert (archived_standings(self._place.lb.archive), stored_standings(self._raw)) == before

    def _player(self) -> str:
        return self._random.choice(PLAYERS)

    def _instant(self) -> str:
        return show_instant(min(self._place.clock.at_ms, self._noon_ms))

    def _call(self, method: str, path: str, body: object = None) -> int:
        """Whatever is refused; what is done is looked at."""
        status = int(self._place.api.admin.call(method, path, body).status_code)
        assert status < 500
        return status

    # -- what is looked at ---------------------------------------------------------------------------------------------

    def _final(self) -> dict[str, list[tuple[int, int, str]]]:
        """Period id → score, instant and player, in the order of their ranks."""
        ended_ms = self._place.clock.at_ms - 6 * HOUR_MS
        return {
            period_id: [(one.score, one.achieved_ms, one.player) for one in placed if not one.hidden]
            for (_, period_id), placed in archived_standings(self._place.lb.archive).items()
            if period_id != "all" and period_id < show_instant(ended_ms)[:10]
        }

    def _assert_in_place(
        self, before: dict[str, list[tuple[int, int, str]]], after: dict[str, list[tuple[int, int, str]]]
    ) -> None:
        for period_id, entries in before.items():
            now = after.get(period_id, [])
            assert len(entries) == len(now)
            for (score, at_ms, was), (score_now, at_ms_now, player) in zip(entries, now, strict=True):
                assert (score, at_ms) == (score_now, at_ms_now)
                if STAND_IN in was:
                    assert shown_part(player) == shown_part(was)
                else:
                    assert player == was or STAND_IN in player

    def _assert_nothing_left(self) -> None:
        """But for the mark that refuses the id, and what the journal drops when it is archived."""
        erased = "|".join(re.escape(player) for player in sorted(self._erased))
        pattern = re.compile(rf"({erased})(?![A-Za-z0-9._~@|-])")
        for name, kept in every_key(self._raw).items():
            if not name.startswith(tuple(f"lb:{{0}}:player:{player}" for player in self._erased)):
                assert not pattern.search(f"{name} {kept.value}"), name
        for table, rows in every_table(self._place.lb.archive).items():
            for row in rows:
                if "erased" not in row:
                    assert not pattern.search(str(row)), (table, row)


@pytest.mark.parametrize("seed", [*FEW, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MANY)])
def test_places(place: Place, raw: redis.Redis, tmp_path: Path, seed: int) -> None:
    story = Story(place, raw, tmp_path, seed)
    for _ in range(10):
        for _ in range(6):
            story.act()
        story.check()
