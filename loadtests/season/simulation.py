"""A season from nothing: players, cheaters, limits from a sample, all of it played, and the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from random import Random
from typing import Any

from leaderboard.settings import Settings
from loadtests.season.acts import CHEATS, Act, How, Kind
from loadtests.season.cheats import make_cheats, make_pair
from loadtests.season.honest import make_plays
from loadtests.season.limits import choose_limits
from loadtests.season.play import Season
from loadtests.season.report import TOPS, summarise
from loadtests.season.service import Service

KINDS = len(CHEATS)
SAMPLE_LEAST = 500


@dataclass(frozen=True, slots=True)
class Plan:
    players: int
    #: Cheaters of each kind.
    each: int
    days: int
    seed: int
    rules: bool = True


def simulate(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Play the season in the store of the settings, which must be empty; the report as data.

    Raises RuntimeError when the service is not well.
    """
    rules = make_rules(plan) if plan.rules else {"rate": None}
    with closing(Service(settings)) as service:
        service.define_board(rules)
        played = Season(service, Random(f"{plan.seed} season")).play(make_acts(plan))
        table = [(entry["player"]["id"], entry["score"]) for entry in service.page(max(TOPS))]
    return summarise(played, rules, table)


def make_rules(plan: Plan) -> dict[str, Any]:
    """From a month of as many other players, or of SAMPLE_LEAST: one in 10,000 of a few submissions is none."""
    sample = make_plays(max(SAMPLE_LEAST, plan.players), 28, Random(f"{plan.seed} sample"))
    return choose_limits(sample, plan.players)


def make_acts(plan: Plan) -> Iterator[Act]:
    """Everything that anybody does. Each group has dice of its own: another number of cheaters changes no player."""
    for plays in make_plays(plan.players, plan.days, Random(f"{plan.seed} honest")):
        for play in plays:
            yield Act(
                play.at_ms, f"player {play.player}", Kind.HONEST, How.SEND, play.score, again_ms=play.again_ms
            )  # fmt: skip
    if plan.each:
        for acts in make_cheats(plan.each, plan.days, Random(f"{plan.seed} cheats")):
            yield from acts
        yield from make_pair(plan.days, Random(f"{plan.seed} pair"))
