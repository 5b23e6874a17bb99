"""The simulated season in short: through the service itself, over a real store."""

from __future__ import annotations

from contextlib import closing
from random import Random
from typing import Any

import pytest

from leaderboard.settings import Settings
from loadtests.season.acts import CHEATS, Act, How, Kind
from loadtests.season.play import Season, Verdict
from loadtests.season.report import lines
from loadtests.season.service import Service
from loadtests.season.simulation import Plan, simulate

pytestmark = pytest.mark.any_store


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


def test_a_client_that_is_told_to_wait_loses_nothing(settings: Settings) -> None:
    with closing(Service(settings)) as service:
        service.define_board({"rate": {"burst": 5, "per_s": 0.5}})
        acts = [Act(1000 + 100 * n, "player", Kind.HONEST, How.SEND, 10 + n) for n in range(20)]
        played = Season(service, Random(1)).play(acts)
        assert [entry["score"] for entry in service.page(10)] == [29]
        # Each is counted once, by the first answer that it got.
        assert played.verdicts.total() == 20
        assert played.verdicts[Kind.HONEST, Verdict.REJECTED] == 15
        assert played.counted_later[Kind.HONEST] == 15
        assert service.elapsed_ms >= 30_000


def test_rules_stop_what_they_are_there_for_and_hardly_touch_anybody_else(settings: Settings) -> None:
    report = play(settings, Plan(players=100, each=2, days=7, seed=1))
    cheating = report["cheating"]
    for kind in ("impossible score", "replayed request", "tampered body"):
        assert cheating[kind]["stopped"] == 1.0, kind
    # What is within the burst counts: clients that were offline need it.
    assert cheating["flooding"]["stopped"] > 0.95
    # Of the others no share is promised here: on a board of a hundred, the best are not far from anybody else, and the
    # rule for newcomers protects two ranks. What is held is held for gains.
    assert cheating["impossible gain"]["held"] > 0
    assert report["honest"]["rejected"] == 0
    assert report["honest"]["share"] <= 0.001
    # No rule looks at who wins against whom.
    assert report["pair"]["missed"] == report["pair"]["submissions"] > 0
