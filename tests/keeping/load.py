"""Players who play while things break, and what must have become of it, from the oracle.

Each writer has players of its own and does one thing after the other, so what happens to a player has an order that is
known, whatever the others do. A call that fails is repeated until it is known to have happened, but for submissions
without an Idempotency-Key: of one whose reply was lost, only the archive can tell.
"""

from __future__ import annotations

import json
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Self

import redis

from leaderboard.archive.database import Archive
from tests.client import Client
from tests.keeping.contents import Placed, archived_standings, assert_archive_is_store, every_key, every_row, submitted
from tests.live import eventually
from tests.oracle import Board, OutOfRange, Play, Rules, Standings, instant, show_instant, week_of

DAY_MS = 86_400_000

BEST = Rules(policy="best", ties="competition", tiebreaks=(("wins", "desc"), ("seconds", "asc")))
SUM = Rules(policy="sum", ties="dense", decimals=2)
LATEST = Rules(policy="latest", order="asc")
RULES = {"best": BEST, "sum": SUM, "latest": LATEST}

#: A writer does so much nothing between two acts, so that the machine has something left for the other processes.
PAUSE_S = 0.02

#: Late scores are taken until a week has been over this long; so old may a submission be.
LATE_MS = 9 * DAY_MS
PERIODS: dict[str, list[dict[str, Any]]] = {
    # The only one that is reset: a submission without an answer would leave open which season it counts in.
    "best": [
        {"kind": "season", "keep_days": 20, "settle_delay_s": LATE_MS // 1000},
        {"kind": "weekly", "settle_delay_s": LATE_MS // 1000},
    ],
    "sum": [{"kind": "alltime"}, {"kind": "weekly", "settle_delay_s": LATE_MS // 1000}],
    "latest": [{"kind": "alltime"}, {"kind": "daily", "settle_delay_s": LATE_MS // 1000}],
}


@dataclass(frozen=True)
class Submitted:
    """One submission. `period_ids` are those of the answer, or those it would count in if it came through."""

    n: str
    board: str
    player: str
    score: int
    tiebreaks: tuple[int, ...]
    #: None where the server stamps it.
    achieved_ms: int | None
    period_ids: tuple[str, ...]
    acknowledged: bool


@dataclass(frozen=True)
class Removed:
    board: str
    period_id: str
    player: str


@dataclass(frozen=True)
class Erased:
    player: str


@dataclass
class Player:
    """What is known of one that is there: as its writer left it."""

    id: str
    client: Client | None = None
    profile: dict[str, Any] = field(default_factory=dict)
    #: The last standings of `best` it got into.
    season: str | None = None


class Writer:
    """One after the other."""

    def __init__(self, api: Client, number: int, now_ms: int, over: threading.Event) -> None:
        self._api, self._name, self._over = api, f"w{number}", over
        self._random, self._now_ms = random.Random(number), now_ms
        self._numbers = count()
        self._instants: set[int] = set()
        self.happened: list[Submitted | Removed | Erased] = []
        self.players: list[Player] = [Player(f"{self._name}-{i}") for i in range(4)]
        self.erased: set[str] = set()
        #: (player, other) → what the player sees
        self.sides: dict[tuple[str, str], str] = {}
        self.acknowledged = 0

    def write(self) -> None:
        acts: list[tuple[int, Callable[[], None]]] = [
            (60, self._submit), (10, self._submit_many), (6, self._remove), (6, self._profile), (6, self._befriend),
            (4, self._sign_in), (1, self._erase),
        ]  # fmt: skip
        while not self._over.wait(PAUSE_S):
            (act,) = self._random.choices([act for _, act in acts], [weight for weight, _ in acts])
            act()

    # -- acts ----------------------------------------------------------------------------------------------------------

    def _submit(self) -> None:
        item, board = self._make(), self._random.choice(list(RULES))
        player = self._random.choice(self.players)
        as_player = player.client is not None and board == "best" and self._random.random() < 0.5
        body = self._body(board, item, as_player)
        n = body["metadata"]["n"]
        key = f"k-{n}" if board == "best" or self._random.random() < 0.6 else None
        caller = player.client if as_player and player.client else self._api.server
        if not as_player:
            body["player"] = player.id
        path = f"/v1/boards/{board}/submissions"
        answer = self._until_known(caller, "POST", path, body, key=key, once=key is None)
        self._note(player, board, item, n, answer, as_player)

    def _submit_many(self) -> None:
        """A batch with a key: each item is known by its own."""
        chosen = [(self._random.choice(self.players), self._random.choice(list(RULES)), self._make()) for _ in range(6)]
        bodies = [self._body(board, item, False) | {"board": board, "player": one.id} for one, board, item in chosen]
        answer: Any = None
        while answer is None or any(result["error"] for result in answer["results"]):
            answer = self._until_known(
                self._api.server, "POST", "/v1/submissions/batch", {"submissions": bodies},
                key=f"b-{bodies[0]['metadata']['n']}",
            )  # fmt: skip
            for result in answer["results"]:
                assert result["error"] is None or result["error"]["status"] == 503, result
        for (player, board, item), body, result in zip(chosen, bodies, answer["results"], strict=True):
            self._note(player, board, item, body["metadata"]["n"], result, False)

    def _make(self) -> tuple[int, tuple[int, ...], int]:
        """Score, tiebreaks and an instant that no other submission of these players has."""
        achieved_ms = 0
        while not achieved_ms or achieved_ms in self._instants:
            achieved_ms = self._now_ms - self._random.randrange(LATE_MS - DAY_MS)
        self._instants.add(achieved_ms)
        return self._random.randrange(20), (self._random.randrange(3), self._random.randrange(3)), achieved_ms

    def _body(self, board: str, item: tuple[int, tuple[int, ...], int], as_player: bool) -> dict[str, Any]:
        rules, (score, tiebreaks, achieved_ms) = RULES[board], item
        body: dict[str, Any] = {
            "score": score / 10**rules.decimals if rules.decimals else score,
            "metadata": {"n": f"{self._name}-{next(self._numbers)}"},
        }
        if rules.tiebreaks:
            body["tiebreaks"] = {name: value for (name, _), value in zip(rules.tiebreaks, tiebreaks, strict=True)}
        if not as_player:
            body["achieved_at"] = show_instant(achieved_ms)
        return body

    def _note(
        self, player: Player, board: str, item: tuple[int, tuple[int, ...], int], n: str, answer: Any, as_player: bool
    ) -> None:
        score, tiebreaks, achieved_ms = item
        if answer is None:
            assert board != "best"
            period_ids = ["all", week_of(achieved_ms) if board == "sum" else f"{instant(achieved_ms):%Y-%m-%d}"]
        else:
            assert answer["outcome"] in ("applied", "kept"), answer
            period_ids = [one["period_id"] for one in answer["standings"]]
            assert len(period_ids) == len(PERIODS[board]), answer
            self.acknowledged += 1
        if board == "best":
            player.season = period_ids[0]
        self.happened.append(
            Submitted(
                n, board, player.id, score, tiebreaks if RULES[board].tiebreaks else (),
                None if as_player else achieved_ms, tuple(period_ids), answer is not None,
            )
        )  # fmt: skip

    def _remove(self) -> None:
        player = self._random.choice(self.players)
        board, period_id = self._random.choice([("best", player.season), ("sum", "all"), ("latest", "all")])
        if period_id is None:
            return
        kind = "season" if board == "best" else "alltime"
        path = f"/v1/admin/boards/{board}/entries/{player.id}?period={kind}&period_id={period_id}&reason=cheated"
        self._until_known(self._api.admin, "DELETE", path, also=(404,))
        self.happened.append(Removed(board, period_id, player.id))

    def _profile(self) -> None:
        player = self._random.choice(self.players)
        number = self._random.randrange(100)
        profile = {
            "display_name": f"Åsa {number} 🚗" if number % 2 else None,
            "avatar_url": f"https://cdn.example/{number}.png" if number % 3 else None,
            "country": "se" if number % 5 else None,
            "platform": "linux" if number % 7 else None,
            "attributes": {"team": str(number)} if number % 3 else {},
        }
        given = {name: value for name, value in profile.items() if value}
        self._until_known(self._api.server, "PUT", f"/v1/players/{player.id}", given)
        player.profile = given

    def _befriend(self) -> None:
        there = [player.id for player in self.players if player.profile]
        if len(there) < 2:
            return
        one, other = self._random.sample(there, 2)
        mine, theirs = self.sides.get((one, other)), self.sides.get((other, one))
        match self._random.choice(("link", "part", "block", "unblock")):
            case "link" if "blocked" not in (mine, theirs):
                self._until_known(self._api.server, "PUT", f"/v1/players/{one}/friends/{other}")
                self.sides |= {(one, other): "friends", (other, one): "friends"}
            case "part" if mine == "friends":
                self._until_known(self._api.server, "DELETE", f"/v1/players/{one}/friends/{other}")
                del self.sides[one, other], self.sides[other, one]
            case "block":
                self._until_known(self._api.server, "PUT", f"/v1/players/{one}/blocks/{other}")
                self.sides[one, other] = "blocked"
                if theirs == "friends":
                    del self.sides[other, one]
            case "unblock" if mine == "blocked":
                self._until_known(self._api.server, "DELETE", f"/v1/players/{one}/blocks/{other}")
                del self.sides[one, other]

    def _sign_in(self) -> None:
        body = {"device_id": f"{self._name}-{next(self._numbers)}".ljust(40, "d"), "display_name": "Ødd / \\ name"}
        answer = self._until_known(self._api, "POST", "/v1/sessions", body)
        player = Player(answer["player"]["id"], Client(self._api.http, answer["token"]))
        player.profile = {"display_name": body["display_name"]}
        self.players.append(player)

    def _erase(self) -> None:
        player = self._random.choice(self.players)
        answer = self._until_known(self._api.server, "DELETE", f"/v1/players/{player.id}", also=(404, 410))
        if answer is not None and answer["code"] == "player_not_found":
            return
        self.players.remove(player)
        self.players.append(Player(f"{self._name}-{next(self._numbers)}"))
        self.erased.add(player.id)
        self.sides = {pair: side for pair, side in self.sides.items() if player.id not in pair}
        self.happened.append(Erased(player.id))

    def _until_known(
        self, caller: Client, method: str, path: str, body: Any = None, *, key: str | None = None,
        once: bool = False, also: tuple[int, ...] = (),
    ) -> Any:  # fmt: skip
        """The answer, after as many tries as it takes. With `once` None where the reply was lost."""
        while True:
            answer = caller.call(method, path, body, {"Idempotency-Key": key} if key else None)
            if answer.status_code < 300 or answer.status_code in also:
                return answer.get_json() if answer.data else None
            problem = answer.get_json()
            assert answer.status_code == 503, answer.text
            if once and problem["code"] == "outcome_unknown":
                return None
            # Coming again at once keeps the store under load while it starts.
            self._over.wait(0.01)


@dataclass
class Load:
    """Several writers, and an admin who closes a season now and then."""

    api: Client
    now_ms: int
    writers: int = 4
    resets: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._writers = [Writer(self.api, number, self.now_ms, self._over) for number in range(self.writers)]
        self._pool = ThreadPoolExecutor(self.writers)
        self._running: list[Future[None]] = []

    def define(self) -> Self:
        for board, rules in RULES.items():
            late = {"periods": PERIODS[board], "late_s": LATE_MS // 1000, "rules": {"rate": None}}
            self.api.define(board, **rules.definition(), **late)
        return self

    def __enter__(self) -> Self:
        self._running = [self._pool.submit(writer.write) for writer in self._writers]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown()
        for running in self._running:
            running.result()

    @property
    def acknowledged(self) -> int:
        return sum(writer.acknowledged for writer in self._writers)

    def go_on(self, submissions: int = 30) -> None:
        """Wait until so many more were acknowledged."""
        enough = self.acknowledged + submissions

        def went_on() -> bool:
            for running in self._running:
                if running.done():
                    running.result()
            return self.acknowledged >= enough

        eventually(went_on, f"{submissions} more submissions")

    def reset(self) -> None:
        """Close the season of `best`; with its key, once, whatever happens to the answer."""
        self.resets += 1
        season, answer = f"s{self.resets}", None
        while answer is None or answer.status_code == 503:
            answer = self.api.admin.call(
                "POST", "/v1/admin/boards/best/reset", {"season": season}, {"Idempotency-Key": f"reset-{season}"}
            )
        assert answer.status_code == 200, answer.text

    # -- afterwards ----------------------------------------------------------------------------------------------------

    def check(self, archive: Archive, raw: redis.Redis) -> None:
        """Archive and store hold the same, and that is what was acknowledged, once."""
        assert_archive_is_store(archive, raw)
        self._check_submissions(archive)
        self._check_standings(archive)
        self._check_players(archive, raw)

    def _check_submissions(self, archive: Archive) -> None:
        found, erased = submitted(archive), self._erased()
        assert not {n: times for n, times in found.items() if times != 1}, "archived more than once"
        submissions = [one for writer in self._writers for one in writer.happened if isinstance(one, Submitted)]
        acknowledged = {one.n for one in submissions if one.acknowledged and one.player not in erased}
        known = {one.n for one in submissions if one.player not in erased}
        assert not acknowledged - found.keys(), "acknowledged, and not in the archive"
        assert not found.keys() - known, "never submitted, or of an erased player"

    def _check_standings(self, archive: Archive) -> None:
        rows = {json.loads(row.metadata)["n"]: row for row in every_row(archive, archive.tables.submissions)}
        boards = {board: Board(rules) for board, rules in RULES.items()}
        numbers: Counter[tuple[str, str, str]] = Counter()
        erased = self._erased()
        for writer in self._writers:
            for one in writer.happened:
                match one:
                    case Submitted() if one.player in erased or one.n not in rows:
                        continue
                    case Submitted():
                        row = rows[one.n]
                        assert one.achieved_ms in (None, row.achieved_ms)
                        assert (row.board, row.player, row.score) == (one.board, one.player, one.score)
                        assert tuple(json.loads(row.tiebreaks).values()) == one.tiebreaks
                        play = Play(
                            one.player, one.score, one.tiebreaks, row.achieved_ms, one.achieved_ms is not None,
                            {"n": one.n},
                        )  # fmt: skip
                        for period_id in one.period_ids:
                            self._play(boards[one.board].at(period_id), play)
                            numbers[one.board, period_id, one.player] += 1
                    case Removed():
                        boards[one.board].at(one.period_id).remove(one.player)
                        del numbers[one.board, one.period_id, one.player]
        expected = {
            (board, period_id): [
                (e.player, *e.result, e.achieved_at, numbers[board, period_id, e.player], e.metadata)
                for e in standings.entries
            ]
            for board, model in boards.items()
            for period_id, standings in model.standings.items()
            if standings.entries
        }
        shown = {
            standings: [_shown(RULES[standings[0]], placed) for placed in entries]
            for standings, entries in archived_standings(archive).items()
        }
        assert shown.keys() == expected.keys()
        for standings, entries in expected.items():
            assert shown[standings] == entries, standings

    def _play(self, standings: Standings, play: Play) -> None:
        try:
            standings.submit(play)
        except OutOfRange:
            raise AssertionError("the scores of the load are small") from None

    def _check_players(self, archive: Archive, raw: redis.Redis) -> None:
        """Counters and profiles as the writers left them, friends and blocks too."""
        counted = Counter(
            row.player for row in every_row(archive, archive.tables.submissions) if row.kind == "submission"
        )
        players = {row.player: row for row in every_row(archive, archive.tables.players)}
        sides: defaultdict[tuple[str, str], str] = defaultdict(str)
        for row in every_row(archive, archive.tables.friends):
            sides[row.player, row.other] = row.side.partition(";")[0]
        for writer in self._writers:
            for player in writer.players:
                if player.id not in players:
                    assert not player.profile
                    assert not counted[player.id]
                    continue
                row = players[player.id]
                assert row.submissions == counted[player.id], player.id
                attributes = json.loads(row.attributes) if row.attributes else {}
                kept = {
                    "display_name": row.display_name, "avatar_url": row.avatar_url, "country": row.country,
                    "platform": row.platform, "attributes": attributes,
                }  # fmt: skip
                assert {name: value for name, value in kept.items() if value} == player.profile, player.id
            for erased in writer.erased:
                assert players[erased].state == "erased"
                assert raw.hgetall(f"lb:{{0}}:player:{erased}") == {b"state": b"erased"}
        assert dict(sides) == {pair: side for writer in self._writers for pair, side in writer.sides.items()}
        assert not [key for key in every_key(raw) if any(key.endswith(f":{one}") for one in self._erased())
                    if not key.startswith("lb:{0}:player:")]  # fmt: skip

    def _erased(self) -> set[str]:
        return {player for writer in self._writers for player in writer.erased}


def _shown(rules: Rules, placed: Placed) -> tuple[Any, ...]:
    """As the oracle says it: the way it was submitted."""
    score = -placed.score if rules.order == "desc" else placed.score
    orders = [order for _, order in rules.tiebreaks]
    tiebreaks = tuple(
        -value if order == "desc" else value for order, value in zip(orders, placed.tiebreaks, strict=True)
    )
    metadata = json.loads(placed.metadata) if placed.metadata else None
    return placed.player, score, tiebreaks, placed.achieved_ms, placed.submissions, metadata
