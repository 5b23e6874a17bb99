"""Honest players, and what they submit in a season."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from loadtests.season.game import Talent, make_talent
from loadtests.season.habits import Habit, make_habit, submissions


@dataclass(frozen=True, slots=True)
class Play:
    at_ms: int
    player: int
    score: int
    #: See `habits.Sent`.
    again_ms: int | None = None


def play_all(talent: Talent, habit: Habit, player: int, dice: Random) -> list[Play]:
    """What one player submits, in order."""
    sent = submissions(habit, dice)
    return [Play(one.at_ms, player, talent.play(plays, dice), one.again_ms) for plays, one in enumerate(sent)]


def make_plays(players: int, days: int, dice: Random) -> list[list[Play]]:
    """The plays of each of so many players."""
    return [play_all(make_talent(dice), make_habit(days, dice), player, dice) for player in range(players)]


def in_order(plays: Iterable[Iterable[Play]]) -> list[Play]:
    """All of them in the order in which they are sent."""
    return sorted((play for own in plays for play in own), key=lambda play: play.at_ms)
