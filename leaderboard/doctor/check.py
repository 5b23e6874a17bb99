"""What a look comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from leaderboard.errors import LeaderboardError


class Status(StrEnum):
    """How it is, best first."""

    OK = "ok"
    #: It works, but not as it should, or it could not be looked at.
    WARNING = "warning"
    #: The service does not work, or will lose data.
    PROBLEM = "problem"


#: The statuses by weight.
BY_WEIGHT = tuple(Status)


class CannotLookError(LeaderboardError):
    """Something could not be looked at: it is not allowed, or not to be had here."""


@dataclass(frozen=True, slots=True)
class Finding:
    status: Status
    #: What was looked at, in a few words.
    summary: str
    #: What is wrong, and how to mend it. Where nothing is wrong, what may be done all the same.
    detail: str | None = None
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One of several things that may be wrong with what is looked at."""

    status: Status
    detail: str
    mend: str


@dataclass(frozen=True, slots=True)
class Check:
    """A finding under its permanent name."""

    id: str
    finding: Finding

    @property
    def status(self) -> Status:
        return self.finding.status


def ok(summary: str, detail: str | None = None, mend: str | None = None) -> Finding:
    return Finding(Status.OK, summary, detail, mend)


def warning(summary: str, detail: str, mend: str) -> Finding:
    return Finding(Status.WARNING, summary, detail, mend)


def problem(summary: str, detail: str, mend: str) -> Finding:
    return Finding(Status.PROBLEM, summary, detail, mend)


def together(summary: str, faults: Sequence[Fault]) -> Finding:
    """All that is wrong with one thing, the worst first."""
    if not faults:
        return ok(summary)
    ordered = sorted(faults, key=lambda fault: BY_WEIGHT.index(fault.status), reverse=True)
    return Finding(
        ordered[0].status,
        summary,
        " ".join(fault.detail for fault in ordered),
        " ".join(dict.fromkeys(fault.mend for fault in ordered)),
    )
