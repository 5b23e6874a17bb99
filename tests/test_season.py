"""The simulated season in short: through the service itself, over a real store."""

from __future__ import annotations

from typing import Any

import pytest

from leaderboard.settings import Settings
from loadtests.season.acts import CHEATS
from loadtests.season.report import lines
from loadtests.season.simulation import Plan, simulate


def play(settings: Settings, plan: Plan) -> dict[str, Any]:
    report = simulate(settings, plan)
    # For whoever wonders why this failed.
    print("\n".join(lines(report)))
    return report


def test_without_rules_cheaters_get_away_with_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    report = play(settings, Plan(players=20, each=1, days=3, seed=1, rules=False))
    assert list(report["cheating"]) == [kind.value for kind in CHEATS]
    for kind, counts in report["cheating"].items():
        # A repeat with the same Idempotency-Key is known as one, whatever the rules.
        assert counts["missed"] == counts["submissions"] - counts["no_effect"] > 0, kind
        assert (counts["no_effect"] > 0) == (kind == "replayed request")
    assert report["honest"]["submissions"] > 50
    assert report["honest"]["touched"] == 0
    assert sum(report["cheated_entries"]["top 10"].values()) >= 4
    shown = capsys.readouterr().out
    assert all(kind.value in shown for kind in CHEATS)


def test_rules_stop_what_they_are_there_for_and_hardly_touch_anybody_else(settings: Settings) -> None:
    report = play(settings, Plan(players=100, each=2, days=7, seed=1))
    cheating = report["cheating"]
    assert cheating["impossible score"]["rejected"] == cheating["impossible score"]["submissions"] > 0
    # What is within the burst counts: clients that were offline need it.
    assert cheating["flooding"]["stopped"] > 0.9
    # Of the others no share is promised here: on a board of a hundred, who is good is not far from anybody else, and the
    # rule for newcomers protects two ranks. What is held is held for gains.
    assert cheating["impossible gain"]["held"] > 0
    assert cheating["tampered body"]["held"] > 0
    assert report["honest"]["rejected"] == 0
    assert report["honest"]["share"] <= 0.001
    assert report["pair"]["submissions"] == report["pair"]["missed"] > 0
