"""Whether the store has room, and what it does when it has none."""

from __future__ import annotations

from leaderboard.doctor.case import Case
from leaderboard.doctor.check import Fault, Finding, Status, ok, problem, together, warning

#: Of maxmemory: when it is time to do something, and when it is late.
MUCH, NEARLY_ALL = 0.80, 0.95

#: Of the machine's memory, where no limit is set. Rewriting the append-only file copies what changes meanwhile.
MUCH_OF_MACHINE, TOO_MUCH_OF_MACHINE = 0.50, 0.75

#: Memory that is held but not used, or swapped out, is spoken of from here on.
SPEAK_OF_BYTES = 256 * 2**20
FRAGMENTED, SWAPPED = 1.5, 0.7


def look_at_eviction(case: Case) -> Finding:
    """Only noeviction will do: any other policy empties standings without a word."""
    policy = case.sight.info.get("maxmemory_policy") or case.sight.config("maxmemory-policy")
    if policy == "noeviction":
        return ok("maxmemory-policy noeviction")
    return problem(
        f"maxmemory-policy {policy}",
        f"With {policy}, a full store throws standings away without a word; the service refuses to use it.",
        "CONFIG SET maxmemory-policy noeviction, and the same in the server's configuration file.",
    )


def look_at_memory(case: Case) -> Finding:
    info = case.sight.info
    used, limit, machine = (int(info.get(name, 0)) for name in ("used_memory", "maxmemory", "total_system_memory"))
    resident = int(info.get("used_memory_rss", used))
    summary = f"{used / 1e6:.1f} MB used, {f'of {limit / 1e6:.1f} MB' if limit else 'no maxmemory'}"
    faults = [fault for fault in (_limit(used, limit, machine, resident), _waste(used, resident)) if fault]
    return together(summary, faults)


def _limit(used: int, limit: int, machine: int, resident: int) -> Fault | None:
    if limit:
        share = used / limit
        if share < MUCH:
            return None
        return Fault(
            Status.PROBLEM if share >= NEARLY_ALL else Status.WARNING,
            f"{share:.0%} of maxmemory is used; when it is full, submissions are refused.",
            "Raise maxmemory, to three quarters of the machine's memory at most, or keep fewer periods (keep_days).",
        )
    if not machine or max(used, resident) / machine < MUCH_OF_MACHINE:
        return None
    share = max(used, resident) / machine
    return Fault(
        Status.PROBLEM if share >= TOO_MUCH_OF_MACHINE else Status.WARNING,
        f"{share:.0%} of the machine's memory is used and no maxmemory is set: the system may kill the store, above "
        "all while it rewrites its append-only file.",
        "Give the machine more memory, and set maxmemory to three quarters of it.",
    )


def _waste(used: int, resident: int) -> Fault | None:
    if resident - used > SPEAK_OF_BYTES and resident > used * FRAGMENTED:
        return Fault(
            Status.WARNING,
            f"The store holds {resident / 1e6:.0f} MB for {used / 1e6:.0f} MB of data.",
            "MEMORY PURGE or CONFIG SET activedefrag yes, where the server has them; a restart does it always.",
        )
    if used - resident > SPEAK_OF_BYTES and resident < used * SWAPPED:
        return Fault(
            Status.WARNING,
            "A part of the store is swapped out, which makes every call slow.",
            "Give the machine more memory.",
        )
    return None


def look_at_expiry(case: Case) -> Finding:
    """Large standings must not be deleted in one go."""
    lazy = case.sight.config("lazyfree-lazy-expire")
    if lazy == "yes":
        return ok("lazyfree-lazy-expire yes")
    return warning(
        f"lazyfree-lazy-expire {lazy}",
        "A standings of a million entries that expires stops the store for 0.4 s.",
        "CONFIG SET lazyfree-lazy-expire yes, and the same in the server's configuration file.",
    )
