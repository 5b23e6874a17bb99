"""A century of international goals: 47,000 submissions by batch, 14,853 scorers, 6,899 of them equal on one goal.

Each goal of men's international football since 1916 adds one to its scorer's sum, on the day it was scored. Own goals
are left out, and those whose scorer nobody knows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from itertools import islice
from typing import Any

import pytest

from tests.client import Client
from tests.live import Live
from tests.oracle import Entry, Play, Rules, Standings, read_instant, show_instant
from tests.test_f1 import DATA, rows

FOOTBALL = DATA / "football"

pytestmark = [
    pytest.mark.skipif(not FOOTBALL.exists(), reason=f"the goals are not in {FOOTBALL}"),
    pytest.mark.any_store,
]

RULES = Rules(policy="sum", ties="competition")
BATCH = 1000
#: So many scorers get their names, most of which are not ASCII.
NAMED = 300
TEAM = "Brazil"


def player_of(scorer: str) -> str:
    """A player id, since a third of the names could not be one."""
    return "fb-" + blake2s(scorer.encode(), digest_size=8).hexdigest()


@dataclass
class Goals:
    """What was played, counted in plain Python, and the server it was replayed on."""

    api: Client
    submissions: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    teams: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        count: Counter[str] = Counter()
        last_at: dict[str, int] = {}
        for row in rows(FOOTBALL / "goalscorers.csv.gz"):
            if row["own_goal"] == "TRUE" or row["scorer"] in ("", "NA"):
                continue
            player, day = player_of(row["scorer"]), f"{row['date']}T00:00:00Z"
            self.submissions.append({"board": "goals", "player": player, "score": 1, "achieved_at": day})
            self.names[player] = row["scorer"]
            self.teams[row["team"]].add(player)
            count[player] += 1
            last_at[player] = max(last_at.get(player, read_instant(day)), read_instant(day))
        self.expected = Standings(RULES)
        for player, goals in count.items():
            self.expected.correct(Play(player, goals, (), last_at[player]))
        not_ascii_first = sorted(self.names, key=lambda player: (self.names[player].isascii(), player))
        self.named = set(islice(not_ascii_first, NAMED)) | self.teams[TEAM]

    def replay(self) -> None:
        # A board whose standings never end takes any age: the first goal is of 1916.
        late_s = 200 * 366 * 86_400
        self.api.define("goals", **RULES.definition(), periods=[{"kind": "alltime"}], writes="servers", late_s=late_s)
        for first in range(0, len(self.submissions), BATCH):
            goals = self.submissions[first : first + BATCH]
            answer = self.api.server.post("/v1/submissions/batch", {"submissions": goals})
            assert (answer["applied"], answer["failed"]) == (len(goals), 0)
        for player in sorted(self.named):
            self.api.server.put(f"/v1/players/{player}", {"display_name": self.names[player]})

    def read(self, path: str, body: Any = None) -> Any:
        path = f"/v1/boards/goals/{path}"
        return self.api.server.post(path, body) if body else self.api.server.get(path)

    def walk(self, path: str, way: str, cursor: str | None = None) -> Iterator[dict[str, Any]]:
        page = self.read(path if cursor is None else f"{path}&cursor={cursor}")
        yield page
        for _ in range(len(self.expected)):
            if not page[way]:
                return
            page = self.read(f"{path}&cursor={page[way]}")
            yield page

    def shown(self, rank: int, entry: Entry) -> dict[str, Any]:
        name = self.names[entry.player] if entry.player in self.named else None
        return {
            "rank": rank,
            "player": {"id": entry.player, "display_name": name, "avatar_url": None, "country": None},
            "score": entry.score,
            "tiebreaks": {},
            "metadata": None,
            "achieved_at": show_instant(entry.achieved_at),
        }

    def shown_rows(self, rows: list[tuple[int, Entry]]) -> list[dict[str, Any]]:
        return [self.shown(rank, entry) for rank, entry in rows]


@pytest.fixture(scope="module")
def goals(store_url: str) -> Iterator[Goals]:
    with Live(store_url, workers=1, namespace="football") as live:
        goals = Goals(live.ready().api)
        goals.replay()
        yield goals


def test_the_data_is_what_it_says(goals: Goals) -> None:
    scores = Counter(entry.score for entry in goals.expected.entries)
    assert (len(goals.submissions), len(goals.expected)) == (46_934, 14_853)
    assert scores[1] == 6_899
    assert sum(not name.isascii() for name in goals.names.values()) == 3_341


def test_everybody_has_the_goals_and_the_rank_that_counting_gives(goals: Goals) -> None:
    pages = list(goals.walk("standings?limit=200", "next_cursor"))
    assert {page["total"] for page in pages} == {len(goals.expected)}
    shown = [entry for page in pages for entry in page["entries"]]
    assert shown == goals.shown_rows(goals.expected.rows())


def test_walking_back_from_the_last_page_meets_the_same(goals: Goals) -> None:
    total = len(goals.expected)
    last = goals.read(f"standings?limit=200&offset={total - 200}")
    pages = [last, *goals.walk("standings?limit=200", "prev_cursor", last["prev_cursor"])]
    shown = [entry for page in reversed(pages) for entry in page["entries"]]
    assert shown == goals.shown_rows(goals.expected.rows())


def test_a_rank_among_thousands_of_equals_is_exact(goals: Goals) -> None:
    # The first, the last and some in between of all who scored once: all of one rank, each with a place of its own.
    equals = [entry.player for entry in goals.expected.entries if entry.score == 1]
    for player in (equals[0], *equals[1 : -1 : len(equals) // 20], equals[-1]):
        rank, entry = goals.expected.rank(player), goals.expected.entry(player)
        answer = goals.read(f"standings/{player}")
        assert answer["entry"] == goals.shown(rank, entry)
        assert answer["percentile"] == pytest.approx(goals.expected.percentile(player), abs=1e-9)
        around = goals.read(f"standings/{player}/around?limit=11")["entries"]
        assert around == goals.shown_rows(goals.expected.around(player, 11))


def test_the_distribution_counts_everybody_once(goals: Goals) -> None:
    for buckets in (1, 20, 100):
        answer = goals.read(f"distribution?buckets={buckets}")
        counted = [(bucket["low"], bucket["high"], bucket["count"]) for bucket in answer["buckets"]]
        assert counted == goals.expected.distribution(buckets)
        assert sum(count for _, _, count in counted) == answer["total"] == len(goals.expected)


def test_names_in_any_script_come_back_as_they_were_given(goals: Goals) -> None:
    players = sorted(goals.named)[:200]
    shown = {
        entry["player"]["id"]: entry["player"]["display_name"]
        for entry in goals.read("lookup", {"players": players})["entries"]
    }
    assert shown == {player: goals.names[player] for player in players}
    assert not all(name.isascii() for name in shown.values())


def test_the_scorers_of_a_team_are_ranked_among_themselves(goals: Goals) -> None:
    team = sorted(goals.teams[TEAM])
    player = team[0]
    goals.api.server.put(f"/v1/players/{player}/friends", {"players": team[1:]})
    expected = goals.expected.among(team)
    pages = list(goals.walk(f"standings/{player}/friends?limit=200", "next_cursor"))
    assert [page["total"] for page in pages] == [len(team)] * 2
    assert [entry for page in pages for entry in page["entries"]] == [
        goals.shown(rank, entry) | {"board_rank": board_rank} for rank, board_rank, entry in expected
    ]
    # Friendship has two sides, and the others are no friends of each other.
    answer = goals.read(f"standings/{team[1]}/friends")
    assert [entry["player"]["id"] for entry in answer["entries"]] == [
        entry.player for _, _, entry in goals.expected.among([player, team[1]])
    ]


def test_a_thousand_friends_are_linked_in_one_call(goals: Goals) -> None:
    outsiders = (entry.player for entry in goals.expected.entries if entry.player not in goals.teams[TEAM])
    best, *others = islice(outsiders, 1001)
    assert goals.api.server.put(f"/v1/players/{best}/friends", {"players": others}) == {"linked": 1000}
    pages = list(goals.walk(f"standings/{best}/friends?limit=200", "next_cursor"))
    assert [entry for page in pages for entry in page["entries"]] == [
        goals.shown(rank, entry) | {"board_rank": board_rank}
        for rank, board_rank, entry in goals.expected.among([best, *others])
    ]
