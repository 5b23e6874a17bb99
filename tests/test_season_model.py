"""The simulated season's players, cheaters and limits, in plain numbers; loadtests/season says what each is."""

from __future__ import annotations

from itertools import pairwise
from math import log
from random import Random
from statistics import mean, median

import pytest

from loadtests.season import cheats, limits, newcomers
from loadtests.season.acts import CHEATS, Act, How, Kind
from loadtests.season.game import CEILING, SHORTEST_PLAY_S, Talent
from loadtests.season.habits import DAY_MS, HOUR_MS, Habit, submissions
from loadtests.season.honest import Play, in_order, make_plays
from loadtests.season.play import Verdict, read_reason, read_verdict
from loadtests.season.service import Answer
from loadtests.season.simulation import Plan, make_acts

#: Nothing is stored here.
pytestmark = pytest.mark.any_store

DAYS = 28
#: Seconds.
H = 3600


@pytest.fixture(scope="module")
def plays() -> list[list[Play]]:
    return make_plays(400, DAYS, Random(11))


def plays_of(*submitted: tuple[float, int], player: int = 0) -> list[Play]:
    """Plays at so many seconds with such scores."""
    return [Play(round(at_s * 1000), player, score) for at_s, score in submitted]


# ------------------------------------------------------------------ how well, and when


def test_practice_helps_less_and_less() -> None:
    talent = Talent(log(1000), log(9000), 25, 0.3)
    skills = [talent.skill(plays) for plays in range(200)]
    steps = [after - before for before, after in pairwise(skills)]
    assert skills[0] == pytest.approx(log(1000))
    assert skills[-1] == pytest.approx(log(9000), abs=0.01)
    assert steps == sorted(steps, reverse=True)
    assert steps[-1] > 0


def test_nobody_goes_beyond_what_the_game_gives() -> None:
    dice, talent = Random(1), Talent(log(CEILING), log(3 * CEILING), 5, 0.45)
    scores = [talent.play(plays, dice) for plays in range(1000)]
    assert max(scores) <= CEILING
    assert min(scores) > 0


def test_players_get_better(plays: list[list[Play]]) -> None:
    often = [[play.score for play in own] for own in plays if len(own) >= 60]
    assert len(often) > 20
    assert mean(mean(own[40:60]) / mean(own[:20]) for own in often) > 1.2


def test_few_play_most_and_many_hardly_at_all(plays: list[list[Play]]) -> None:
    counts = sorted((len(own) for own in plays), reverse=True)
    assert sum(counts[:40]) > 0.4 * sum(counts)
    assert median(counts) < mean(counts) / 2
    assert min(counts) >= 1


def test_plays_are_in_order_and_take_their_time_unless_they_waited_for_a_network(plays: list[list[Play]]) -> None:
    gaps = [after.at_ms - before.at_ms for own in plays for before, after in pairwise(own)]
    assert min(gaps) > 0
    together = sum(gap < SHORTEST_PLAY_S * 1000 for gap in gaps)
    assert 0.01 < together / len(gaps) < 0.06


def test_people_sleep_at_night() -> None:
    habit = Habit(0, 100_000 * DAY_MS, 0.5, 1.0, zone_h=-8)
    sent = submissions(habit, Random(4))
    local = [int((next(sent).at_ms / HOUR_MS - 8) % 24) for _ in range(2000)]
    assert sum(2 <= hour < 6 for hour in local) < 0.08 * sum(18 <= hour < 22 for hour in local)


def test_the_seed_decides_everything_and_cheaters_change_no_player() -> None:
    def honest(plan: Plan) -> list[Act]:
        return [act for act in make_acts(plan) if act.kind is Kind.HONEST]

    assert honest(Plan(20, 0, 7, seed=1)) == honest(Plan(20, 3, 7, seed=1))
    assert honest(Plan(20, 0, 7, seed=1)) != honest(Plan(20, 0, 7, seed=2))


# ------------------------------------------------------------------ cheaters


class Standings:
    """What anybody sees: scores by rank."""

    def __init__(self, *scores: int) -> None:
        self.scores = scores

    def score_at(self, rank: int) -> int | None:
        return self.scores[rank - 1] if rank <= len(self.scores) else None


@pytest.fixture(scope="module")
def acts() -> list[Act]:
    return [act for own in cheats.make_cheats(10, DAYS, Random(3)) for act in own]


def of(acts: list[Act], kind: Kind) -> list[Act]:
    found = [act for act in acts if act.kind is kind]
    assert found
    return found


def test_there_are_six_kinds_and_as_many_cheaters_of_each(acts: list[Act]) -> None:
    accounts = {kind: {act.account.split(",")[0] for act in of(acts, kind)} for kind in CHEATS}
    assert [len(names) for names in accounts.values()] == [10] * 6


def test_everything_is_done_within_the_season(acts: list[Act]) -> None:
    pair = cheats.make_pair(DAYS, Random(3))
    assert all(0 <= act.at_ms <= DAYS * DAY_MS + HOUR_MS for act in acts + pair)


def test_an_impossible_score_is_beyond_the_game_and_no_other_is(acts: list[Act]) -> None:
    standings = Standings(*range(CEILING, CEILING - 100, -1))
    for act in acts:
        score = act.score if isinstance(act.score, int) else act.score(standings)
        assert score is not None
        assert (score > CEILING) == (act.kind is Kind.IMPOSSIBLE_SCORE)


def test_a_sudden_gain_comes_after_honest_plays_and_beats_one_of_the_ten_best(acts: list[Act]) -> None:
    standings = Standings(*range(50_000, 49_000, -100))
    for act in of(acts, Kind.IMPOSSIBLE_GAIN):
        assert callable(act.score)
        assert 49_100 < (act.score(standings) or 0) <= 52_501
        assert any(other.account == act.account and other.at_ms < act.at_ms for other in of(acts, Kind.COVER))


def test_a_tampered_body_says_more_than_what_was_signed(acts: list[Act]) -> None:
    for act in of(acts, Kind.TAMPERED):
        assert isinstance(act.score, int)
        assert act.how is How.TAMPER
        assert act.score < act.tampered <= CEILING


def test_a_flood_is_hundreds_a_minute(acts: list[Act]) -> None:
    flood = [act.at_ms for act in of(acts, Kind.FLOODING) if act.account == "flooding 0"]
    in_a_minute = [sum(at <= other < at + 60_000 for other in flood) for at in sorted(flood)[:50]]
    assert median(in_a_minute) > 150


def test_a_newcomer_has_done_nothing_before(acts: list[Act]) -> None:
    newcomers = [act.account for act in of(acts, Kind.NEWCOMER)]
    assert len(newcomers) == len(set(newcomers)) == 40
    assert not set(newcomers) & {act.account for act in acts if act.kind is not Kind.NEWCOMER}


def test_a_request_is_replayed_with_its_own_key_and_with_another(acts: list[Act]) -> None:
    hows = [act.how for act in of(acts, Kind.REPLAYED)]
    assert hows.count(How.REPLAY) == hows.count(How.REPLAY_OTHER_KEY) == 60


def test_the_pair_takes_turns_and_says_nothing_impossible() -> None:
    pair = cheats.make_pair(2, Random(1))
    assert [act.account for act in pair[:4]] == ["pair 0", "pair 1"] * 2
    assert all(isinstance(act.score, int) and 0 < act.score <= CEILING for act in pair)


# ------------------------------------------------------------------ limits


@pytest.mark.parametrize(("limit", "touched"), [(50, 0), (49, 1), (29, 3), (4, 4)])
def test_a_gain_is_over_the_best_that_counts(limit: int, touched: int) -> None:
    # hour    score   gain   with a limit of 29: a held 150 counts from the morning after
    #    0      100
    #    1       80
    #    2      150     50   held
    #    3      140     40   held
    #   20      120     20
    #   40      155      5
    #   41      185     30   held
    sample = [
        plays_of((0, 100), (1 * H, 80), (2 * H, 150), (3 * H, 140), (20 * H, 120), (40 * H, 155), (41 * H, 185)),
        plays_of((0, 900)),
        [],
    ]
    assert limits.gaining_too_much(sample, limit) == touched


def test_the_least_limit_touches_no_more_than_is_allowed() -> None:
    assert limits.least(lambda limit: max(0, 1000 - limit), allowed=10) == 990
    assert limits.least(lambda _: 0, allowed=0) == 1
    assert limits.least(lambda _: 1, allowed=0) == CEILING


@pytest.mark.parametrize(("per_hour", "touched"), [(100, 0), (60, 2), (59, 4)])
def test_a_gain_runs_off_within_the_hour(per_hour: int, touched: int) -> None:
    # minute   score   gained at 100 an hour   at 60
    #      0     100
    #     10     160   60                      60
    #     40     200   10 + 40                 30 + 40   held
    #     41     190                           29 + 30   over the 160 that counts
    #     70     250    1 + 50                 30 + 60   held
    # At 59 even the first gain is too much, and so all of them.
    sample = [plays_of((0, 100), (600, 160), (2400, 200), (2460, 190), (4200, 250))]
    assert limits.gaining_too_fast(sample, per_hour) == touched


def test_being_ahead_grows_with_plays_sent_together_and_passes_with_time() -> None:
    sample = [plays_of((100, 1), (100, 1), (100, 1), (160, 1), (1000, 1))]
    assert list(limits.ahead(sample)) == pytest.approx([1, 2, 3, 3, 1])


@pytest.mark.parametrize(
    ("share", "limit"),
    [(0.0, 1000), (0.0009, 1000), (0.001, 999), (0.01, 990)],
)
def test_no_more_than_the_share_is_beyond_a_limit(share: float, limit: int) -> None:
    assert limits.exceeded_by(range(1, 1001), share) == limit


def test_a_limit_from_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        limits.exceeded_by([], 0.1)


@pytest.mark.parametrize(("value", "rounded"), [(0.0, 1), (7.2, 8), (10, 10), (11.5, 12), (16_301, 17_000), (90, 90)])
def test_limits_are_rounded_up_to_two_digits(value: float, rounded: int) -> None:
    assert limits.round_up(value) == rounded


def test_the_limits_touch_hardly_anything_of_the_sample(plays: list[list[Play]]) -> None:
    rules = limits.choose_limits(plays, expected=400)
    total = sum(len(own) for own in plays)
    assert limits.gaining_too_much(plays, rules["max_gain"]["value"]) <= limits.HOLDS * total
    assert limits.gaining_too_fast(plays, rules["max_gain_per_hour"]["value"]) <= limits.HOLDS * total
    assert sum(ahead > rules["rate"]["burst"] for ahead in limits.ahead(plays)) <= limits.REJECTS * total
    assert max(play.score for play in in_order(plays)) <= rules["max_score"]["value"]
    newcomer = rules["min_submissions_before_top"]
    assert newcomers.landings(plays, newcomer["value"], newcomer["top"]) <= limits.HOLDS * total


def test_landing_in_the_top_is_a_better_entry_there_among_enough() -> None:
    standings = newcomers.Standings()
    # The rule asks for 20 times top entries, and so far there are none to 39.
    for player in range(40):
        assert not standings.lands(player, 100 + player, 2)
        standings.submit(player, 100 + player)
    # The best are 139 and 138. Among equals, who comes later stands behind.
    assert not standings.lands(40, 138, 2)
    assert standings.lands(40, 139, 2)
    standings.submit(40, 140)
    assert not standings.lands(40, 140, 2)
    assert not standings.lands(0, 139, 2)
    assert standings.lands(0, 140, 2)


def test_a_newcomer_in_the_top_is_held_until_enough_of_it_counts() -> None:
    many = [plays_of((player, 100), player=player) for player in range(20)]
    # hour   score
    #    1      50   counts
    #    2     500   lands
    #    3     600   lands
    #   30     700   lands, when 500 and 600 count
    late = plays_of((1 * H, 50), (2 * H, 500), (3 * H, 600), (30 * H, 700), player=99)
    # In the week after it, twenty have to be there first; in the season they are.
    next_week = plays_of((8 * 24 * H, 750), player=98)
    sample = [*many, late, next_week]
    assert [newcomers.landings(sample, value, top=1) for value in range(1, 6)] == [1, 3, 3, 4, 4]
    assert newcomers.landings(sample, 10, top=2) == 0
    total = sum(map(len, sample))
    assert newcomers.known_after(sample, 1, budget=0) == 0
    assert newcomers.known_after(sample, 1, budget=1 / total) == 1
    assert newcomers.known_after(sample, 1, budget=3 / total) == 3
    assert newcomers.known_after(sample, 1, budget=4 / total) == newcomers.KNOWN_AFTER_MOST


# ------------------------------------------------------------------ what an answer means


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(200, {"outcome": "applied"}), Verdict.COUNTED),
        (Answer(200, {"outcome": "kept"}), Verdict.COUNTED),
        (Answer(200, {"outcome": "held"}), Verdict.HELD),
        (Answer(200, {"outcome": "applied"}, True), Verdict.NO_EFFECT),
        (Answer(429, {"code": "rate_limited"}), Verdict.REJECTED),
    ],
)
def test_what_became_of_a_submission(answer: Answer, verdict: Verdict) -> None:
    assert read_verdict(answer) is verdict


def test_why_a_submission_was_rejected() -> None:
    broken = {"code": "rule_broken", "errors": [{"pointer": "/score", "code": "max_score", "detail": ""}]}
    assert read_reason(Answer(422, broken)) == "max_score"
    assert read_reason(Answer(429, {"code": "rate_limited"})) == "rate_limited"
