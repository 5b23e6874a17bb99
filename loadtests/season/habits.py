"""When somebody plays: arrivals, evenings, a few who play all day and many who hardly do, trains without a network."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import log
from random import Random

from loadtests.season.game import SHORTEST_PLAY_S

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

#: How likely a session begins in each hour of the player's own day.
HOURS = (2, 1, 1, 0, 0, 1, 3, 6, 6, 4, 4, 5, 8, 7, 5, 6, 8, 10, 13, 16, 18, 17, 12, 6)
#: Time zones, as hours ahead of UTC, and how many players live there.
ZONES = {-8: 2, -5: 4, -3: 2, 0: 3, 1: 8, 2: 3, 5: 2, 8: 3, 9: 3}
#: The share that is there when the season begins; the others arrive while it runs.
THERE_AT_ONCE = 0.4
#: The share of sessions without a network, whose plays are sent together afterwards.
OFFLINE = 0.03
#: The share of submissions whose answer gets lost, so that the client sends the same again.
LOST = 0.01
#: The most sessions that anybody has in a day.
SESSIONS_MOST = 8.0


@dataclass(frozen=True, slots=True)
class Habit:
    arrives_ms: int
    leaves_ms: int
    sessions_per_day: float
    plays_per_session: float
    zone_h: int


@dataclass(frozen=True, slots=True)
class Sent:
    """One submission as the player's device sends it."""

    at_ms: int
    #: When the same is sent once more, for its answer was lost; None mostly.
    again_ms: int | None


def make_habit(days: int, dice: Random) -> Habit:
    end = days * DAY_MS
    arrives = dice.randrange(DAY_MS) if dice.random() < THERE_AT_ONCE else dice.randrange(end)
    # A third try it and go; the others tire of it some time.
    stays_days = dice.expovariate(1 / 2) if dice.random() < 0.33 else dice.expovariate(1 / 40)
    zone = dice.choices(list(ZONES), list(ZONES.values()))[0]
    # The tail is Pareto's: one in a hundred plays ten times as often as most.
    sessions = min(SESSIONS_MOST, 0.35 * dice.paretovariate(1.3))
    leaves = min(end, arrives + round(stays_days * DAY_MS))
    return Habit(arrives, leaves, sessions, dice.lognormvariate(log(4), 0.5), zone)


def submissions(habit: Habit, dice: Random) -> Iterator[Sent]:
    """Everything that a player sends, in order. Whoever arrives plays at once."""
    at = float(habit.arrives_ms)
    while at < habit.leaves_ms:
        at = yield from _session(habit, at, dice)
        at = _next_session(habit, at, dice)


def _session(habit: Habit, at: float, dice: Random) -> Generator[Sent, None, float]:
    """One play after another; returns when the session is over."""
    plays = 1 + min(60, int(dice.expovariate(1 / habit.plays_per_session)))
    offline = dice.random() < OFFLINE
    for _ in range(plays):
        at += 1000 * (SHORTEST_PLAY_S + dice.expovariate(1 / 90.0))
        if not offline:
            yield _sent(at, dice)
            at += 1000 * (3 + dice.expovariate(1 / 20.0))
    if offline:
        at += dice.expovariate(1 / (20 * 60_000))
        for _ in range(plays):
            at += dice.uniform(150, 900)
            yield _sent(at, dice)
    return at


def _sent(at: float, dice: Random) -> Sent:
    lost = dice.random() < LOST
    return Sent(round(at), round(at + dice.uniform(2000, 10_000)) if lost else None)


def _next_session(habit: Habit, at: float, dice: Random) -> float:
    """Wait about as long as the habit says, then for an hour of the day at which people play."""
    at += dice.expovariate(habit.sessions_per_day / DAY_MS)
    if habit.sessions_per_day < 2:
        hour = dice.choices(range(24), HOURS)[0]
        ahead_ms = habit.zone_h * HOUR_MS
        midnight = at - (at + ahead_ms) % DAY_MS
        chosen = midnight + (hour + dice.random()) * HOUR_MS
        return chosen if chosen > at else chosen + DAY_MS
    if HOURS[int((at / HOUR_MS + habit.zone_h) % 24)] < 2:
        # Even those who play all day sleep.
        at += dice.uniform(5, 8) * HOUR_MS
    return at
