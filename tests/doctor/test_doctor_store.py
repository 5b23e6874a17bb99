"""What the doctor says of a store that is not as it should be."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from leaderboard.doctor.access import judge_access
from leaderboard.doctor.check import Status
from leaderboard.doctor.engine import judge_engine
from leaderboard.doctor.machine import judge_clocks
from tests.doctor.conftest import Ground
from tests.live import eventually, free_port


@pytest.mark.parametrize(
    ("name", "value", "complaint", "status"),
    [
        ("maxmemory-policy", "allkeys-lru", "store.eviction", "problem"),
        ("maxmemory-policy", "volatile-ttl", "store.eviction", "problem"),
        ("appendonly", "no", "store.persistence", "problem"),
        ("appendfsync", "no", "store.fsync", "warning"),
        ("aof-load-truncated", "no", "store.fsync", "warning"),
        ("no-appendfsync-on-rewrite", "yes", "store.fsync", "warning"),
        ("lazyfree-lazy-expire", "no", "store.expiry", "warning"),
    ],
)
def test_a_setting_of_the_server_that_does_harm_is_named_and_what_is_said_mends_it(
    well: Ground, name: str, value: str, complaint: str, status: str
) -> None:
    [(_, right)] = well.raw.config_get(name).items()
    well.raw.config_set(name, value)
    told = well.doctor()
    assert told.complaints == {complaint: status}
    assert told.exit_code == (1 if status == "problem" else 0)
    mend = told.check(complaint)["mend"]
    assert f"CONFIG SET {name} {right}" in mend
    well.raw.execute_command(*mend.partition(",")[0].rstrip(".").split())
    assert well.doctor().complaints == {}
    # A server does not stop before its first append-only file is written.
    eventually(lambda: not well.raw.info("persistence")["aof_rewrite_in_progress"], "that is written")


def test_memory_that_runs_out_is_said_in_time(well: Ground) -> None:
    # So much that what connections take hardly counts; made by the store itself, since what is sent to it lies in its
    # buffers for a while, too.
    well.raw.setrange("other", 50_000_000, b"x")

    def complaints(share: float) -> dict[str, str]:
        well.raw.config_set("maxmemory", int(well.raw.info("memory")["used_memory"] / share))
        return well.doctor().complaints

    eventually(lambda: complaints(0.5) == {}, "there is room")
    eventually(lambda: complaints(0.87) == {"store.memory": "warning"}, "there is little")
    eventually(lambda: complaints(0.98) == {"store.memory": "problem"}, "there is nearly none")
    # A store that is full can still be looked at.
    assert complaints(1.5) == {"store.memory": "problem"}
    assert "submissions are refused" in well.doctor().says("store.memory")


def test_a_snapshot_that_failed_and_so_stops_all_changes_is_a_problem(well: Ground) -> None:
    # Where the snapshot would be is a directory; even root cannot write there.
    in_the_way = Path(well.raw.config_get("dir")["dir"]) / well.raw.config_get("dbfilename")["dbfilename"]
    in_the_way.mkdir()
    well.raw.config_set("save", "3600 1")
    well.raw.bgsave()
    eventually(lambda: well.raw.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot failed")
    assert well.doctor().complaints == {"store.persistence": "problem"}
    assert "refuses changes" in well.doctor().says("store.persistence")
    well.raw.config_set("save", "")
    assert well.doctor().complaints == {"store.persistence": "warning"}


def test_a_replica_is_a_problem(well: Ground) -> None:
    well.raw.replicaof("127.0.0.1", str(free_port()))
    told = well.doctor()
    assert told.statuses["store.role"] == "problem"
    assert "refuses every change" in told.says("store.role")


# -- durability ------------------------------------------------------------------------------------------------------


def knows_waitaof(raw: redis.Redis) -> bool:
    try:
        raw.execute_command("WAITAOF", 1, 0, 1)
    except redis.ResponseError:
        return False
    return True


def test_fsync_needs_a_server_that_can_say_so_and_is_slow_with_everysec(well: Ground) -> None:
    told = well.doctor(LEADERBOARD_DURABILITY="fsync")
    if not knows_waitaof(well.raw):
        assert told.complaints == {"store.durability": "problem"}
        return
    assert told.complaints == {"store.durability": "warning"}
    well.raw.config_set("appendfsync", "always")
    assert well.doctor(LEADERBOARD_DURABILITY="fsync").complaints == {}
    well.raw.config_set("appendonly", "no")
    told = well.doctor(LEADERBOARD_DURABILITY="fsync")
    assert told.complaints == {"store.durability": "problem", "store.persistence": "problem"}


def test_replicated_needs_as_many_replicas_as_are_waited_for(well: Ground) -> None:
    told = well.doctor(LEADERBOARD_DURABILITY="replicated", LEADERBOARD_DURABILITY_REPLICAS="2")
    assert told.complaints == {"store.durability": "problem"}
    assert "0 of 2 replicas" in told.says("store.durability")
    # What every replica has, this server's own disk need not have.
    well.raw.config_set("appendonly", "no")
    assert well.doctor(LEADERBOARD_DURABILITY="replicated").statuses["store.persistence"] == "warning"


# -- who may look ----------------------------------------------------------------------------------------------------

#: docker/valkey.conf gives the service these, and a managed service takes CONFIG away besides.
NO_CONFIG = [
    "-@all", "+@read", "+@write", "+@connection", "-@dangerous", "-function", "+fcall", "+fcall_ro", "+time", "+info",
]  # fmt: skip


def test_who_may_not_see_the_configuration_is_told_what_could_not_be_looked_at(well: Ground) -> None:
    well.raw.acl_setuser("looker", enabled=True, passwords=["+secret-word"], keys=["lb:*"], commands=NO_CONFIG)
    told = well.doctor_by_url("looker:secret-word")
    assert told.exit_code == 0
    assert told.complaints == {"store.fsync": "warning", "store.expiry": "warning"}
    assert "+config|get" in told.says("store.fsync")
    # INFO says what most rests on; and the library answers, though it may not be listed.
    assert told.says("store.eviction") == "maxmemory-policy noeviction"
    assert "is loaded; others may not be listed" in told.says("store.functions")


def test_as_docker_sets_the_store_up_there_is_nothing_to_complain_of(well: Ground) -> None:
    conf = (Path(__file__).parents[2] / "docker" / "valkey.conf").read_text()
    [rules] = [line.split()[2:] for line in conf.splitlines() if line.startswith("user leaderboard ")]
    well.raw.execute_command("ACL", "SETUSER", "leaderboard", *(rule for rule in rules if "@PASSWORD" not in rule))
    well.raw.execute_command("ACL", "SETUSER", "leaderboard", ">secret-word")
    for line in conf.splitlines():
        if line.startswith(("append", "aof-", "lazyfree-", "maxmemory-")):
            well.raw.config_set(*line.split())
    told = well.doctor_by_url("leaderboard:secret-word")
    assert told.complaints == {}
    assert told.exit_code == 0


def test_who_may_see_nothing_of_the_server_is_still_told_of_the_installation(well: Ground) -> None:
    well.raw.acl_setuser(
        "looker", enabled=True, passwords=["+secret-word"], keys=["lb:*"], commands=["-@all", "+@read", "+@connection"]
    )
    told = well.doctor_by_url("looker:secret-word")
    assert told.exit_code == 0
    assert "+info" in told.says("store.engine")
    assert told.statuses["store.clock"] == "warning"
    assert told.statuses["installation.claim"] == "ok"
    assert told.statuses["archive.relation"] == "ok"


def test_a_wrong_password_is_told_from_a_store_that_is_away(well: Ground) -> None:
    well.raw.acl_setuser("looker", enabled=True, passwords=["+secret-word"], keys=["lb:*"], commands=["+@all"])
    told = well.doctor_by_url("looker:another")
    assert told.exit_code == 1
    assert "does not let us in" in told.says("store.answers")
    told = well.doctor(LEADERBOARD_REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert told.exit_code == 1
    assert "Connection refused" in told.says("store.answers")
    # What does not rest on the store is looked at all the same.
    assert told.statuses["archive.answers"] == "ok"
    assert "store.engine" not in told.statuses


def test_a_store_without_a_password_is_fine_as_long_as_only_this_machine_reaches_it(well: Ground) -> None:
    port = free_port()
    well.raw.config_set("bind", "127.0.0.1")
    well.raw.config_set("port", port)
    url = f"redis://127.0.0.1:{port}"
    assert well.doctor(LEADERBOARD_REDIS_URL=url).complaints == {}
    # An address of nobody's, which a hyphen allows to be missing.
    well.raw.config_set("bind", "127.0.0.1 -192.0.2.1")
    assert well.doctor(LEADERBOARD_REDIS_URL=url).complaints == {}, "protected mode keeps strangers out"
    well.raw.config_set("protected-mode", "no")
    told = well.doctor(LEADERBOARD_REDIS_URL=url)
    assert told.complaints == {"store.access": "warning"}
    well.raw.acl_setuser("looker", enabled=True, passwords=["+secret-word"], keys=["*"], commands=["+@all"])
    with_password = f"redis://looker:secret-word@127.0.0.1:{port}?timeout=1&socket_timeout=2&health_check_interval=30"
    # The password is ours; a stranger needs none.
    assert well.doctor(LEADERBOARD_REDIS_URL=with_password).complaints == {"store.access": "warning"}
    well.raw.acl_setuser("default", enabled=False)
    assert well.doctor(LEADERBOARD_REDIS_URL=with_password).complaints == {}


@pytest.mark.parametrize(
    ("address", "is_open", "tls", "status"),
    [
        ("10.0.0.7", True, False, Status.WARNING),
        ("10.0.0.7", False, False, Status.OK),
        ("fd00::7", True, True, Status.WARNING),
        ("8.8.8.8", True, True, Status.PROBLEM),
        ("8.8.8.8", False, False, Status.WARNING),
        ("2606:4700::1111", False, True, Status.OK),
    ],
)
def test_a_store_elsewhere_needs_a_password_and_on_the_internet_tls(
    address: str, is_open: bool, tls: bool, status: Status
) -> None:
    assert judge_access([ipaddress.ip_address(address)], is_open=is_open, tls=tls).status is status


# -- the server ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "version", "status"),
    [
        ("Redis", (6, 2, 24), Status.PROBLEM),
        ("Redis", (7, 0, 15), Status.WARNING),
        # RediShell is closed in it, later holes are not.
        ("Redis", (7, 2, 11), Status.WARNING),
        ("Redis", (7, 2, 16), Status.OK),
        ("Redis", (8, 0, 6), Status.WARNING),
        ("Redis", (8, 10, 2), Status.OK),
        ("Redis", (9, 0, 0), Status.OK),
        ("Valkey", (7, 0, 0), Status.PROBLEM),
        ("Valkey", (9, 1, 1), Status.WARNING),
        ("Valkey", (9, 1, 2), Status.OK),
        ("Valkey", (10, 0, 0), Status.OK),
    ],
)
def test_servers_with_known_holes_are_named(name: str, version: tuple[int, int, int], status: Status) -> None:
    finding = judge_engine(name, version, embedded=False)
    assert finding.status is status
    assert finding.summary == f"{name} {'.'.join(map(str, version))}"


def test_the_server_is_named_as_its_binary_names_itself(well: Ground) -> None:
    assert well.doctor().check("store.engine")["summary"] == well.store.engine


def test_libraries_of_other_versions_are_listed_and_what_is_said_deletes_them(well: Ground) -> None:
    def load(name: str) -> None:
        code = f"#!lua name={name}\nredis.register_function('{name}', function() return 1 end)"
        well.raw.execute_command("FUNCTION", "LOAD", code)

    for name in ("lb_0123456789", "lb_00112233aa", "lbx_0123456789", "lb_other"):
        load(name)
    told = well.doctor()
    assert told.complaints == {}
    mend = told.check("store.functions")["mend"]
    assert mend == "FUNCTION DELETE lb_00112233aa; FUNCTION DELETE lb_0123456789"
    for command in mend.split("; "):
        well.raw.execute_command(*command.split())
    assert well.doctor().check("store.functions")["mend"] is None
    well.raw.function_flush("SYNC")
    assert "by the first call" in well.doctor().says("store.functions")


@pytest.mark.parametrize(("apart_s", "status"), [(0.0, "ok"), (-1.9, "ok"), (3.0, "warning"), (-3600.0, "warning")])
def test_clocks_that_differ_are_named(apart_s: float, status: str) -> None:
    finding = judge_clocks(apart_s, 0.001)
    assert finding.status == status
    assert status == "ok" or ("ahead of" if apart_s > 0 else "behind") in finding.summary


# -- this installation in it -----------------------------------------------------------------------------------------

MARK, JOURNAL = "lb:{0}:store", "lb:{0}:journal"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda raw: raw.flushall(), "has lost its data"),
        (lambda raw: raw.delete(MARK), "a part of it was deleted"),
        (lambda raw: raw.delete(JOURNAL), "journal was deleted"),
        (lambda raw: raw.hset(MARK, "schema", "99"), "data of another version"),
        (lambda raw: raw.hset("lb:{0}:rebuild", "stage", "0"), "being rebuilt"),
    ],
)
def test_a_store_that_lost_something_is_told_apart(
    well: Ground, harm: Callable[[redis.Redis], None], said: str
) -> None:
    harm(well.raw)
    told = well.doctor()
    assert told.exit_code == 1
    assert told.statuses["installation.claim"] == "problem"
    assert said in told.says("installation.claim")
