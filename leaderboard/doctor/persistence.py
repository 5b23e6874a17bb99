"""Whether what the store acknowledges is on a disk."""

from __future__ import annotations

from leaderboard.doctor.case import Case
from leaderboard.doctor.check import CannotLookError, Fault, Finding, Status, ok, problem, together, warning
from leaderboard.settings import Durability


def look_at_persistence(case: Case) -> Finding:
    """The append-only file, and how the last writing of it went. INFO says it; no CONFIG is needed."""
    info = case.sight.info
    if not info.get("aof_enabled"):
        status = Status.WARNING if case.settings.durability is Durability.REPLICATED else Status.PROBLEM
        return Finding(
            status,
            "no append-only file",
            "The store keeps no append-only file: when it is stopped or killed, all since its last snapshot is lost.",
            "CONFIG SET appendonly yes, and the same in the server's configuration file.",
        )
    megabytes = int(info.get("aof_current_size", 0)) / 1e6
    faults = []
    if info.get("aof_last_write_status", "ok") != "ok":
        faults.append(
            Fault(
                Status.PROBLEM,
                "The last write to the append-only file failed, so the store refuses changes.",
                "Make room on its disk, or give it back the right to write there; it goes on by itself.",
            )
        )
    if info.get("aof_last_bgrewrite_status", "ok") != "ok":
        faults.append(
            Fault(
                Status.WARNING,
                "The last rewrite of the append-only file failed, so the file only grows.",
                "See the store's log; a lack of memory or room is the usual reason. BGREWRITEAOF tries again.",
            )
        )
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        faults.append(_failed_snapshot(case))
    return together(f"append-only file of {megabytes:.1f} MB", faults)


def _failed_snapshot(case: Case) -> Fault:
    try:
        refuses = case.sight.config("stop-writes-on-bgsave-error") == "yes" and bool(case.sight.config("save"))
    except CannotLookError:
        refuses = True
    return Fault(
        Status.PROBLEM if refuses else Status.WARNING,
        f"The last snapshot failed{', and the store refuses changes until one succeeds' if refuses else ''}.",
        "See the store's log; a lack of memory or room is the usual reason. BGSAVE tries again.",
    )


def look_at_fsync(case: Case) -> Finding:
    """How soon the append-only file is on the disk itself, and what a torn end of it does."""
    if not case.sight.info.get("aof_enabled"):
        return ok("no append-only file")
    fsync, truncated = case.sight.config("appendfsync"), case.sight.config("aof-load-truncated")
    faults = []
    if fsync == "no":
        faults.append(
            Fault(
                Status.WARNING,
                "With appendfsync no, a power cut loses what the system had not written yet, half a minute or so.",
                "CONFIG SET appendfsync everysec.",
            )
        )
    if truncated != "yes":
        faults.append(
            Fault(
                Status.WARNING,
                "With aof-load-truncated no, a record that a crash cut off keeps the store from starting; "
                "it was never acknowledged.",
                "CONFIG SET aof-load-truncated yes.",
            )
        )
    if fsync != "no" and case.sight.config("no-appendfsync-on-rewrite") == "yes":
        faults.append(
            Fault(
                Status.WARNING,
                "With no-appendfsync-on-rewrite yes, nothing is on the disk for certain while the file is rewritten.",
                "CONFIG SET no-appendfsync-on-rewrite no.",
            )
        )
    return together(f"appendfsync {fsync}", faults)


def look_at_durability(case: Case) -> Finding:
    """Whether the server can do what LEADERBOARD_DURABILITY asks of it."""
    settings, info = case.settings, case.sight.info
    summary = f"LEADERBOARD_DURABILITY is {settings.durability.value}"
    match settings.durability:
        case Durability.FSYNC:
            return _fsync(case, summary)
        case Durability.REPLICATED:
            connected, wanted = int(info.get("connected_slaves", 0)), settings.durability_replicas
            if connected < wanted:
                return problem(
                    summary,
                    f"{connected} of {wanted} replicas are connected, so every change is answered with not_durable.",
                    "Connect more, or set LEADERBOARD_DURABILITY_REPLICAS or LEADERBOARD_DURABILITY to less.",
                )
            return ok(f"{summary}, {connected} of {wanted} replicas are connected")
    return ok(summary)


def _fsync(case: Case, summary: str) -> Finding:
    refusal = case.sight.refusal("WAITAOF", 1, 0, 1, needs="+waitaof")
    if refusal is not None:
        return problem(
            summary,
            f"The store cannot say what is on its disk ({refusal}), so the service refuses to use it.",
            "Use Redis or Valkey 7.2 or later, with appendonly yes; or set LEADERBOARD_DURABILITY to everysec.",
        )
    if case.sight.config("appendfsync") != "always":
        return warning(
            summary,
            "The store writes its disk once a second, so each change waits for up to that long.",
            "CONFIG SET appendfsync always.",
        )
    return ok(summary)
