"""What a season says about the rules: of each kind of cheating how much was stopped, and what honest players felt."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from loadtests.season.acts import CHEATS, Kind
from loadtests.season.play import Played, Verdict

#: How far down the standings of the season's end are looked at.
TOPS = (10, 100)


def summarise(played: Played, rules: dict[str, Any], table: list[tuple[str, int]]) -> dict[str, Any]:
    """The report as data. `table` is the top of the season's end, as (player, score)."""
    honest = _of_kind(played, Kind.HONEST)
    touched = honest["rejected"] + honest["held"]
    return {
        "rules": rules,
        "cheating": {kind.value: _of_kind(played, kind) for kind in CHEATS if kind in played.accounts},
        "pair": _of_kind(played, Kind.PAIR) if Kind.PAIR in played.accounts else None,
        "honest": {
            "submissions": honest["submissions"],
            "touched": touched,
            "share": touched / max(1, honest["submissions"]),
            "rejected": honest["rejected"],
            "counted_later": played.counted_later[Kind.HONEST],
            "held": honest["held"],
            "by_rule": honest["by_rule"],
            "players": honest["accounts"],
            "players_touched": honest["accounts_stopped"],
        },
        "cheated_entries": {f"top {top}": _cheated(played, table[:top]) for top in TOPS},
    }


def _of_kind(played: Played, kind: Kind) -> dict[str, Any]:
    """`stopped` is the share of submissions that changed nothing: rejected, held, or known as repeats."""
    counts = {verdict: played.verdicts[kind, verdict] for verdict in Verdict}
    total = sum(counts.values())
    return {
        "submissions": total,
        "rejected": counts[Verdict.REJECTED],
        "held": counts[Verdict.HELD],
        "no_effect": counts[Verdict.NO_EFFECT],
        "missed": counts[Verdict.COUNTED],
        "stopped": (total - counts[Verdict.COUNTED]) / max(1, total),
        "by_rule": {reason: count for (of, reason), count in sorted(played.reasons.items()) if of is kind},
        "accounts": len(played.accounts.get(kind, ())),
        "accounts_stopped": len(played.stopped.get(kind, ())),
    }


def _cheated(played: Played, table: list[tuple[str, int]]) -> dict[str, int]:
    """How many of these entries cheating got there, by kind."""
    kinds = [played.got_through[entry].value for entry in table if entry in played.got_through]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def lines(report: dict[str, Any]) -> Iterator[str]:
    """The report as text."""
    yield "rules"
    for name, rule in report["rules"].items():
        yield f"  {name:<28}{_rule(rule)}"
    yield ""
    yield (
        f"{'cheating':<20}{'submissions':>12}{'rejected':>9}{'held':>6}{'no effect':>10}{'missed':>8}{'stopped':>9}"
        f"{'accounts noticed':>18}"
    )
    for kind, counts in report["cheating"].items():
        yield _row(kind, counts)
    if report["pair"]:
        yield _row("colluding pair", report["pair"])
    for kind, counts in (*report["cheating"].items(), ("colluding pair", report["pair"] or {})):
        if counts and counts["by_rule"]:
            yield f"  {kind}: {_counts(counts['by_rule'])}"
    yield ""
    honest = report["honest"]
    yield (
        f"honest: {honest['touched']} of {honest['submissions']:,} submissions touched ({honest['share']:.3%}), "
        f"{honest['rejected']} rejected ({honest['counted_later']} counted later), {honest['held']} held; "
        f"{honest['players_touched']} of {honest['players']:,} players"
    )
    if honest["by_rule"]:
        yield f"  {_counts(honest['by_rule'])}"
    for top, kinds in report["cheated_entries"].items():
        yield f"cheated entries in the {top} at the end: {_counts(kinds) or 'none'}"


def _row(name: str, counts: dict[str, Any]) -> str:
    noticed = f"{counts['accounts_stopped']} of {counts['accounts']}"
    return (
        f"{name:<20}{counts['submissions']:>12,}{counts['rejected']:>9,}{counts['held']:>6,}"
        f"{counts['no_effect']:>10,}{counts['missed']:>8,}{counts['stopped']:>9.1%}{noticed:>18}"
    )


def _rule(rule: Any) -> str:
    if not isinstance(rule, dict):
        return str(rule)
    return ", ".join(
        f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}" for name, value in rule.items()
    )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())
