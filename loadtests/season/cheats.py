"""What cheaters do. Each kind knows the game and what anybody can see, and not the limits that a board sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import exp, log
from random import Random

from loadtests.season.acts import CHEATS, Act, How, Kind, Score, Sees
from loadtests.season.game import CEILING, Talent, make_talent
from loadtests.season.habits import DAY_MS, HOUR_MS, Habit
from loadtests.season.honest import Play, play_all

#: What is put in by hand: round numbers, and the greatest of this and that type.
FAVOURITES = (999_999, 1_000_000, 9_999_999, 2**31 - 1, 10**9, 10**12)
#: A page of standings, which is where a cheater wants to be seen.
FIRST_PAGE = 50


def make_cheats(each: int, days: int, dice: Random) -> list[list[Act]]:
    """The acts of so many cheaters of each kind, in the order of CHEATS."""
    return [
        list(_SCRIPTS[kind](f"{kind.value} {number}", days, dice))
        for kind in CHEATS
        for number in range(each)
    ]  # fmt: skip


def make_pair(days: int, dice: Random) -> list[Act]:
    """Two accounts that let each other win, in turns, every evening, at the steady rate of people who play fast."""
    talents = [make_talent(dice), make_talent(dice)]
    plays, acts = [0, 0], []
    for day in range(days):
        at = day * DAY_MS + 19 * HOUR_MS
        for turn in range(40):
            winner = turn % 2
            # Nobody resists: what is won is the most that the winner can do.
            talent = talents[winner]
            score = min(CEILING, round(exp(talent.skill(plays[winner]) + talent.luck) * dice.uniform(0.95, 1.0)))
            acts.append(Act(at, f"pair {winner}", Kind.PAIR, How.SEND, score))
            plays[winner] += 1
            at += 180_000 + dice.randrange(5000)
    return acts


def _impossible_score(account: str, days: int, dice: Random) -> Iterator[Act]:
    """Says what the game cannot give: a little more than it, or some number that looks great."""
    yield from _cover(account, days, dice)
    for at in _times(5, days, dice):
        little_more = round(CEILING * dice.uniform(1.001, 2))
        yield Act(at, account, Kind.IMPOSSIBLE_SCORE, How.SEND, dice.choice((little_more, dice.choice(FAVOURITES))))


def _impossible_gain(account: str, days: int, dice: Random) -> Iterator[Act]:
    """Plays as others do, and is one of the ten best all of a sudden; more than once if need be."""
    cover = _cover(account, days, dice)
    yield from cover
    earliest = cover[min(3, len(cover) - 1)].at_ms
    for at in _times(4, days, dice, earliest):
        yield Act(at, account, Kind.IMPOSSIBLE_GAIN, How.SEND, _beating(dice.randint(1, 10), dice.uniform(0, 0.05)))


def _replayed(account: str, days: int, dice: Random) -> Iterator[Act]:
    """Sends its best request again, after seconds or a week: once as it was, once with another Idempotency-Key."""
    cover = _cover(account, days, dice)
    yield from cover
    for _ in range(6):
        at = dice.choice(cover).at_ms
        for how in (How.REPLAY, How.REPLAY_OTHER_KEY):
            later = at + round(exp(dice.uniform(log(1000), log(8 * DAY_MS))))
            yield Act(min(later, days * DAY_MS), account, Kind.REPLAYED, how, 0)


def _tampered(account: str, days: int, dice: Random) -> Iterator[Act]:
    """Stands between game and service and puts a better score into what the game has signed."""
    cover = _cover(account, days, dice)
    yield from cover
    for at in _times(5, days, dice, cover[0].at_ms):
        true = dice.choice(cover).score
        assert isinstance(true, int)
        better = min(CEILING - dice.randrange(1000), round(true * dice.uniform(1.5, 10)))
        yield Act(at, account, Kind.TAMPERED, How.TAMPER, true, better)


def _flooding(account: str, days: int, dice: Random) -> Iterator[Act]:
    """A script that submits hundreds a minute, for two minutes, with scores as they come."""
    talent = make_talent(dice)
    yield from _cover(account, days, dice, talent)
    for began in _times(2, days, dice):
        a_minute, at = dice.randint(200, 600), float(began)
        for _ in range(2 * a_minute):
            at += dice.expovariate(a_minute / 60_000)
            yield Act(round(at), account, Kind.FLOODING, How.SEND, talent.play(20, dice))


def _newcomer(account: str, days: int, dice: Random) -> Iterator[Act]:
    """Makes an account, is on the first page at once, and does so again with another account some days later."""
    for number, at in enumerate(_times(4, days, dice)):
        score = _beating(dice.randint(1, FIRST_PAGE), dice.uniform(0, 0.05))
        yield Act(at, f"{account}, account {number}", Kind.NEWCOMER, How.SEND, score)


_SCRIPTS: dict[Kind, Callable[[str, int, Random], Iterator[Act]]] = {
    Kind.IMPOSSIBLE_SCORE: _impossible_score,
    Kind.IMPOSSIBLE_GAIN: _impossible_gain,
    Kind.REPLAYED: _replayed,
    Kind.TAMPERED: _tampered,
    Kind.FLOODING: _flooding,
    Kind.NEWCOMER: _newcomer,
}


def _beating(rank: int, by: float) -> Score:
    """A little more than what stands at a rank, within what the game can give; nothing while nobody stands there."""

    def score(sees: Sees) -> int | None:
        there = sees.score_at(rank)
        return None if there is None else min(CEILING, round(there * (1 + by)) + 1)

    return score


def _cover(account: str, days: int, dice: Random, talent: Talent | None = None) -> list[Act]:
    """What the cheater plays honestly: from the first day to the last, some sessions a week."""
    habit = Habit(dice.randrange(2 * DAY_MS), days * DAY_MS, dice.uniform(0.3, 1.5), 4.0, 0)
    plays: list[Play] = play_all(talent or make_talent(dice), habit, 0, dice)
    return [Act(play.at_ms, account, Kind.COVER, How.SEND, play.score) for play in plays]


def _times(count: int, days: int, dice: Random, earliest_ms: int = HOUR_MS) -> list[int]:
    return sorted(dice.randrange(min(earliest_ms, days * DAY_MS - 2) + 1, days * DAY_MS) for _ in range(count))
