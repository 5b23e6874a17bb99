"""The simulated season in short: through the service itself, over a real store."""

from __future__ import annotations

from leaderboard.settings import Settings
from loadtests.season.acts import CHEATS
from loadtests.season.report import lines
from loadtests.season.simulation import Plan, simulate


def test_without_rules_cheaters_get_away_with_it(settings: Settings) -> None:
    report = simulate(settings, Plan(players=20, each=1, days=3, seed=1, rules=False))
    assert list(report["cheating"]) == [kind.value for kind in CHEATS]
    for kind, counts in report["cheating"].items():
        # A repeat with the same Idempotency-Key is known as one, whatever the rules.
        assert counts["missed"] == counts["submissions"] - counts["no_effect"] > 0, kind
        assert (counts["no_effect"] > 0) == (kind == "replayed request")
    assert report["honest"]["submissions"] > 50
    assert report["honest"]["touched"] == 0
    assert sum(report["cheated_entries"]["top 10"].values()) >= 4
    text = "\n".join(lines(report))
    assert all(kind.value in text for kind in CHEATS)
