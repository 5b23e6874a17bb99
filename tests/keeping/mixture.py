"""A bit of everything that an installation can hold, played over forty days.

It is made by calls of the API alone, with a clock that is moved; but expiries are by the store's own clock, so what has
had its time by now is gone at once.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from leaderboard.model import DAY_MS
from tests.calls import issue_key
from tests.client import Client
from tests.conftest import SetClock
from tests.oracle import show_instant

#: How long ago it begins.
DAYS = 40

#: Ids whose order by bytes is not the one of any locale, and one that is the beginning of others.
PLAYERS = [*"ABZaz0", "a-", "a.", "aa", "aA", "a|", "a~", "a@b", "a" * 64, *(f"player-{i:02}" for i in range(30))]

DAY_S = 86_400
LATE: dict[str, Any] = {"settle_delay_s": 10 * DAY_S}
BOARDS: dict[str, dict[str, Any]] = {
    "dense": {
        "ties": "dense",
        "decimals": 3,
        "tiebreaks": [{"name": "wins"}, {"name": "seconds", "order": "asc"}],
        "periods": [
            {"kind": "season", "keep_days": 60, **LATE},
            {"kind": "alltime"},
            {"kind": "weekly", "weekday": "thursday", "time_of_day": "18:00", "keep_days": 11, **LATE},
            {"kind": "daily", "keep_days": 11, **LATE},
            {"kind": "monthly", "day": 15, "keep_days": 100, **LATE},
        ],
        "late_s": 10 * DAY_S,
        "default_period": "weekly",
        "metadata": {"colour": "blå 🚗"},
    },
    "competition": {
        "ties": "competition",
        "order": "asc",
        "policy": "latest",
        "tiebreaks": [{"name": f"t{i}", "order": ("asc", "desc")[i % 2]} for i in range(4)],
        "periods": [{"kind": "season", "keep_days": None, **LATE}, {"kind": "weekly", **LATE}],
        "late_s": 10 * DAY_S,
    },
    "sums": {"policy": "sum", "decimals": 6, "rules": {"rate": None}},
    "private": {"writes": "players", "reads": "players", "periods": [{"kind": "alltime"}]},
    "frozen": {"title": "Frozen"},
    "plays": {
        "periods": [{"kind": "season"}, {"kind": "weekly"}],
        "rules": {"rate": None, "attempts": {"most": 30, "period": "weekly", "expires_s": 604_800, "required": False}},
    },
    "archived": {"title": "Archived", "order": "asc"},
    "emptied": {"ties": "dense"},
    "never-played": {},
    "changed": {"periods": [{"kind": "weekly"}, {"kind": "alltime"}], "ties": "dense"},
    "again": {"tiebreaks": [{"name": "wins"}], "policy": "sum"},
    "deleted": {},
}


@dataclass
class Repeatable:
    """A call with an Idempotency-Key that was answered."""

    caller: Client
    path: str
    body: Any
    key: str


@dataclass
class Mixture:
    """Who plays, and what can be asked for afterwards."""

    api: Client
    clock: SetClock
    tokens: dict[str, str] = field(default_factory=dict)
    signed_out: list[str] = field(default_factory=list)
    devices: dict[str, str] = field(default_factory=dict)
    keys: dict[str, bool] = field(default_factory=dict)
    repeatable: list[Repeatable] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = random.Random(1)

    def play(self) -> None:
        for board, definition in BOARDS.items():
            self.api.define(board, **definition)
        for day in range(DAYS):
            self._day(day)
            self.clock.pass_ms(DAY_MS)
        self._sign_in()
        self._befriend()
        self._link()
        self._name()
        self._submit_with_keys()
        self._attempt()
        self._moderate()
        self._hold()
        self._ban()
        self._erase()
        self._close()

    def _day(self, day: int) -> None:
        items = [self._item(board) for board in BOARDS for _ in range(4) if board != "never-played"]
        answer = self.api.server.post("/v1/submissions/batch", {"submissions": items})
        errors = {result["error"]["code"] for result in answer["results"] if result["error"]}
        # The largest tiebreaks there are cannot be summed.
        assert errors <= {"score_out_of_range"}, errors
        if day in (10, 20, 35):
            self.api.admin.post("/v1/admin/boards/dense/reset", {"season": f"s{(10, 20, 35).index(day) + 1}"})
        if day == 25:
            self.api.admin.post("/v1/admin/boards/competition/reset", {"season": "s1"})
        if day == 5:
            # Refused for 30 days, and so not any more.
            self.api.server.delete(f"/v1/players/{items[0]['player']}")

    def _item(self, board: str) -> dict[str, Any]:
        definition, chosen = BOARDS[board], self._random
        item: dict[str, Any] = {
            "board": board,
            "player": chosen.choice(PLAYERS[20:] if board == "private" else PLAYERS),
            "score": chosen.randrange(-20, 20) / (1 if "decimals" not in definition else chosen.choice((1, 2, 8))),
        }
        item["score"] = int(item["score"]) if item["score"] == int(item["score"]) else item["score"]
        if "tiebreaks" in definition:
            item["tiebreaks"] = {one["name"]: chosen.choice((0, 1, -1, 10**15 - 1)) for one in definition["tiebreaks"]}
        if chosen.random() < 0.4:
            item["metadata"] = chosen.choice(({}, {"car": "blå 🚗"}, {"n": chosen.randrange(100)}))
        if "late_s" in definition and chosen.random() < 0.6:
            item["achieved_at"] = show_instant(self.clock.now_ms() - chosen.randrange(9 * DAY_MS))
        return item

    def _sign_in(self) -> None:
        for i in range(4):
            device = f"device-{i}".ljust(40, "x")
            answer = self.api.post("/v1/sessions", {"device_id": device, "display_name": f"Device / {i}"}, expect=201)
            player = answer["player"]["id"]
            self.devices[device], self.tokens[player] = player, answer["token"]
        for player in PLAYERS[20:26]:
            for _ in range(11 if player == PLAYERS[20] else 2):
                self.tokens[player] = self.api.server.post(f"/v1/players/{player}/sessions", expect=201)["token"]
        for player in PLAYERS[24:26]:
            token = self.tokens.pop(player)
            Client(self.api.http, token).delete("/v1/sessions/current")
            self.signed_out.append(token)

    def _befriend(self) -> None:
        a, b, c, d = (Client(self.api.http, self.tokens[player]) for player in PLAYERS[20:24])
        self.api.server.put("/v1/players/player-20/friends", {"players": [f"player-{i}" for i in range(21, 30)]})
        a.put(f"/v1/players/me/friends/{PLAYERS[21]}")
        b.put(f"/v1/players/me/friends/{PLAYERS[20]}")
        a.put(f"/v1/players/me/friends/{PLAYERS[22]}")
        a.put("/v1/players/me/friends/player-25")
        c.put(f"/v1/players/me/friends/{PLAYERS[23]}")
        d.put(f"/v1/players/me/blocks/{PLAYERS[22]}", expect=204)
        d.put("/v1/players/me/blocks/player-20", expect=204)
        b.put(f"/v1/players/me/friends/{PLAYERS[23]}")
        b.delete(f"/v1/players/me/friends/{PLAYERS[23]}")

    def _link(self) -> None:
        for i, player in enumerate(PLAYERS[20:32]):
            for provider in ("steam", "apple", "7")[: 1 + i % 3]:
                path = f"/v1/players/{player}/identities/{provider}"
                self.api.server.put(path, {"subject": f'{i}|a"\\b'}, expect=201)
        self.api.server.put(f"/v1/players/{PLAYERS[21]}/identities/apple", {"subject": "another"}, expect=201)
        self.api.server.delete(f"/v1/players/{PLAYERS[24]}/identities/steam")

    def _name(self) -> None:
        for i, player in enumerate(PLAYERS):
            profile = {
                "display_name": f'Åsa "{i}" \\ / 🚗\u2028' if i % 2 else None,
                "avatar_url": f"https://cdn.example/{i}.png?a=b/c" if i % 3 else None,
                "country": "SE" if i % 4 else None,
                "platform": "linux" if i % 5 else None,
                "attributes": {"team": f"t{i}", "season": "été / 🚗"} if i % 6 else None,
            }
            given = {name: value for name, value in profile.items() if value}
            if i % 7:
                answer = self.api.server.call("PUT", f"/v1/players/{player}", given)
                assert answer.status_code in (200, 201), answer.text
        self.api.server.patch(f"/v1/players/{PLAYERS[1]}", {"display_name": None, "country": None})

    def _submit_with_keys(self) -> None:
        """Of some players more than are remembered."""
        for player, times in (("A", 40), ("B", 32), ("Z", 3)):
            for i in range(times):
                self._with_key(self.api.server, "sums", {"player": player, "score": i}, f"{player}-{i}")
                self.clock.pass_ms(1)
        for player, token in self.tokens.items():
            self._with_key(Client(self.api.http, token), "private", {"score": len(player)}, "mine")
        items = [self._item("sums") | {"player": player} for player in ("a-", "a.", "a|", "a~")]
        path, key = "/v1/submissions/batch", "a-batch"
        self.api.server.post(path, {"submissions": items}, key=key)
        self.repeatable.append(Repeatable(self.api.server, path, {"submissions": items}, key))
        # Of the forty, the first eight are forgotten by now.
        del self.repeatable[:8]

    def _with_key(self, caller: Client, board: str, body: Any, key: str) -> None:
        path = f"/v1/boards/{board}/submissions"
        caller.post(path, body, key=key)
        self.repeatable.append(Repeatable(caller, path, body, key))

    def _attempt(self) -> None:
        """Some are spent, one gives way, and the others stay open; of some who is erased or banned later."""
        for player, times in ((PLAYERS[20], 17), (PLAYERS[22], 3), (PLAYERS[42], 2), ("a~", 1)):
            opened = []
            for _ in range(times):
                opened.append(self.api.server.post("/v1/boards/plays/attempts", {"player": player}, expect=201))
                self.clock.pass_ms(1)
            for answer in opened[1::4]:
                self.api.submit(player, 7, "plays", attempt=answer["attempt"])

    def _moderate(self) -> None:
        answer = self.api.server.get("/v1/boards/emptied/standings?limit=200")
        for entry in answer["entries"]:
            self.api.admin.delete(f"/v1/admin/boards/emptied/entries/{entry['player']['id']}?reason=cheated")
        reason = {"reason": "replay checked"}
        dense = "/v1/admin/boards/dense/entries/player-01?period=season&period_id=previous"
        self.api.admin.put(dense, {"score": 7.125, "tiebreaks": {"wins": 3}, "metadata": {"by": "hand"}} | reason)
        for i in (3, 4):
            path = f"/v1/admin/boards/sums/entries/{PLAYERS[i]}"
            self.api.admin.put(path, {"score": 1, "achieved_at": "1916-07-02T00:00:00Z"} | reason)
        for name, role in (("a console", "admin"), ("a server", "server"), ("a reader", "read"), ("lost", "admin")):
            key_id, holder = issue_key(self.api, role)
            self.keys[str(holder.token)] = name != "lost"
            if name == "lost":
                self.api.admin.delete(f"/v1/admin/keys/{key_id}")

    def _hold(self) -> None:
        """What a rule holds: some of it decided, some of it of players that are banned or erased later."""
        rules = {"rate": None, "max_score": {"value": 10, "then": "hold", "servers": True}}
        self.api.define("strict", policy="sum", ties="dense", decimals=1, rules=rules)
        for score in (10, 10.1, 99):
            for player in ("player-20", "player-21", "player-24"):
                self._with_key(self.api.server, "strict", {"player": player, "score": score}, f"{player}-{score}")
            for player in (PLAYERS[22], PLAYERS[43]):
                self.api.submit(player, score, "strict")
        lb = self.api.http.application.extensions["leaderboard"]
        for player, decision in (("player-20", "approve"), ("player-21", "reject"), ("player-24", "approve")):
            review = lb.store.read(("HKEYS", lb.keys.held(player)))[0][0].decode()
            self.api.admin.post(f"/v1/admin/reviews/{review}/decision", {"decision": decision, "reason": "№ / seen"})

    def _ban(self) -> None:
        ends_at = "2999-01-01T00:00:00Z"
        for player, kind in ((PLAYERS[42], "ban"), (PLAYERS[43], "shadow"), ("a|", "shadow")):
            body = {"kind": kind, "reason": f"№ {player};\n", "ends_at": ends_at if kind == "shadow" else None}
            self.api.admin.put(f"/v1/admin/players/{player}/ban", body)
        self.api.submit(PLAYERS[43], 2, "sums")
        self.api.admin.delete("/v1/admin/players/a|/ban?reason=mistake")

    def _erase(self) -> None:
        # From here on what is over is settled, so that a nameless entry stays there.
        for board in ("dense", "competition"):
            periods = [
                one | ({"settle_delay_s": 0} if "settle_delay_s" in one else {}) for one in BOARDS[board]["periods"]
            ]
            self.api.define(board, **BOARDS[board] | {"periods": periods, "late_s": 0})
        for player in (PLAYERS[22], PLAYERS[30], PLAYERS[31], "aA"):
            if self.api.server.call("DELETE", f"/v1/players/{player}").status_code == 204:
                self.erased.append(player)
            self.tokens.pop(player, None)
        # An erasure that was cut off after its first step: another call would finish it.
        lb = self.api.http.application.extensions["leaderboard"]
        halfway = PLAYERS[33]
        lb.store.change("begin_erasure", [lb.keys.player(halfway), lb.keys.names], [halfway, self.clock.now_ms()])
        self.repeatable = [one for one in self.repeatable if self._is_there(one)]

    def _is_there(self, one: Repeatable) -> bool:
        return one.caller.token is None or not one.caller.token.startswith(f"lb1.{PLAYERS[22]}.")

    def _close(self) -> None:
        """The states a board may be in, and maintenance."""
        self.api.define("frozen", **BOARDS["frozen"], state="frozen")
        self.api.define("archived", **BOARDS["archived"], state="archived")
        self.api.define("changed", periods=[{"kind": "alltime"}], ties="competition", title="Changed")
        for board in ("again", "deleted"):
            self.api.define(board, **BOARDS[board], state="archived")
            self.api.admin.delete(f"/v1/admin/boards/{board}")
        self.api.define("again", decimals=2, periods=[{"kind": "season"}])
        self.api.submit("A", 1.25, "again")
        self.api.admin.put("/v1/admin/maintenance", {"reason": "moving / house"})
