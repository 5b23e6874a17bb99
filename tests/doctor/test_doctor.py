"""`leaderboard doctor` as a command: its form, its exit codes, what it never says. And a real `serve`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from leaderboard import __version__
from leaderboard.addresses import archive_address, store_address
from leaderboard.cli import main
from leaderboard.errors import SettingError
from leaderboard.settings import Settings
from tests.doctor.conftest import Ground, Told
from tests.live import WITHIN_S, eventually, free_port

#: Every check of an installation with an embedded store that runs, in order. People filter by these names.
NAMES = [
    "settings", "store.embedded", "store.answers", "store.engine", "store.role", "store.access", "store.persistence",
    "store.fsync", "store.durability", "store.eviction", "store.memory", "store.expiry", "store.functions",
    "store.locale", "store.clock", "installation.claim", "installation.journal", "installation.worker",
    "archive.answers", "archive.relation", "archive.housekeeping", "machine.disk", "machine.files",
]  # fmt: skip

SECRET, QUOTED = "s3cret/with@signs", "s3cret%2Fwith%40signs"


def test_an_installation_that_is_well_is_told_so_and_stays_as_it_is(well: Ground) -> None:
    before = {key: well.raw.dump(key) for key in well.raw.scan_iter()}
    told = well.doctor()
    assert list(told.statuses) == NAMES
    assert told.complaints == {}
    assert told.exit_code == 0
    assert {key: well.raw.dump(key) for key in well.raw.scan_iter()} == before
    assert re.search(r"up to record [1-9]", told.says("archive.relation"))


def test_by_its_address_the_same_store_has_the_same_checks_but_one(well: Ground) -> None:
    told = well.doctor_by_url()
    assert list(told.statuses) == [name for name in NAMES if name != "store.embedded"]
    assert told.complaints == {}


def test_a_store_in_which_nothing_began_is_not_claimed(ground: Ground) -> None:
    ground.store.start()
    told = ground.doctor()
    assert told.complaints == {"installation.worker": "warning"}
    assert told.exit_code == 0
    assert ground.raw.keys() == []
    assert not list(ground.folder.glob("archive*"))


def test_the_document_keeps_its_form(well: Ground) -> None:
    well.raw.config_set("maxmemory-policy", "allkeys-lru")
    told = well.doctor()
    assert set(told.document) == {"status", "version", "checks"}
    assert told.document["version"] == __version__
    assert told.document["status"] == "problem"
    for check in told.document["checks"]:
        assert set(check) == {"id", "status", "summary", "detail", "mend"}
        assert check["status"] in ("ok", "warning", "problem")
        assert check["summary"]
        if check["status"] != "ok":
            assert check["detail"]
            assert check["mend"]


def test_a_person_is_told_the_same_in_words(well: Ground) -> None:
    well.raw.config_set("maxmemory-policy", "allkeys-lru")
    variables = {"LEADERBOARD_REDIS_URL": well.store.url}
    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(well.folder)], env=variables)
    assert result.exit_code == 1
    lines = [line for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert [line.split()[1] for line in lines[:-1]] == [name for name in NAMES if name != "store.embedded"]
    [line] = [line for line in lines if "store.eviction" in line]
    assert line.startswith("problem")
    assert "→ CONFIG SET maxmemory-policy noeviction" in result.stdout
    assert lines[-1].startswith("1 problems, ")


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"LEADERBOARD_NAMESPACE": "No"}, "LEADERBOARD_NAMESPACE"),
        ({"LEADERBOARD_REDIS_URL": "http://somewhere"}, "LEADERBOARD_REDIS_URL"),
        # The address is cut off at the slash, so what follows the colon is taken for a port.
        ({"LEADERBOARD_REDIS_URL": f"redis://user:{SECRET}@somewhere"}, "LEADERBOARD_REDIS_URL"),
        ({"LEADERBOARD_DATABASE_URL": "mysql://somewhere"}, "LEADERBOARD_DATABASE_URL"),
        ({"LEADERBOARD_STORE_TIMEOUT_S": "soon"}, "LEADERBOARD_STORE_TIMEOUT_S"),
        ({"LEADERBOARD_STORE_TIMEOUT_S": "-1"}, "LEADERBOARD_STORE_TIMEOUT_S"),
        # In the future nothing would be old enough to be kept.
        ({"LEADERBOARD_SUBMISSIONS_DAYS": "-4"}, "LEADERBOARD_SUBMISSIONS_DAYS"),
        ({"LEADERBOARD_SESSION_DAYS": "0"}, "LEADERBOARD_SESSION_DAYS"),
    ],
)
def test_settings_that_make_no_sense_are_exit_code_2(ground: Ground, variables: dict[str, str], named: str) -> None:
    told = ground.doctor(**variables)
    assert told.exit_code == 2
    assert set(told.document) == {"status", "version", "checks"}
    assert told.statuses == {"settings": "problem"}
    assert named in told.says("settings")
    assert SECRET.partition("/")[0] not in told.output
    result = CliRunner().invoke(main, ["doctor", "--data-dir", str(ground.folder)], env=variables)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.splitlines()) == 1


def test_no_password_and_no_key_is_ever_said(well: Ground) -> None:
    well.raw.acl_setuser("looker", enabled=True, passwords=[f"+{SECRET}"], keys=["*"], commands=["+@all"])
    keys = {"LEADERBOARD_ADMIN_KEY": "an-admin-key", "LEADERBOARD_SERVER_KEY": "a-server-key"}
    nowhere = free_port()
    for told in (
        well.doctor_by_url(f"looker:{QUOTED}", **keys),
        well.doctor_by_url(f"looker:{QUOTED}not", **keys),
        well.doctor(LEADERBOARD_REDIS_URL=f"redis://looker:{QUOTED}@127.0.0.1:{nowhere}", **keys),
        well.doctor(LEADERBOARD_DATABASE_URL=f"postgresql://looker:{QUOTED}@127.0.0.1:{nowhere}/x", **keys),
        well.doctor(LEADERBOARD_DATABASE_URL=f"postgresql:///x?host=127.0.0.1&port={nowhere}&password={QUOTED}"),
    ):
        assert told.exit_code in (0, 1)
        for secret in (SECRET, QUOTED, "s3cret", *keys.values()):
            assert secret not in told.output


def test_nothing_but_the_document_is_said(ground: Ground) -> None:
    """In a process of its own: the log would have nowhere else to go."""
    variables = {
        "LEADERBOARD_REDIS_URL": f"redis://127.0.0.1:{free_port()}",
        "LEADERBOARD_DATABASE_URL": f"postgresql://127.0.0.1:{free_port()}/x",
    }
    command = "from leaderboard.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", command, "doctor", "--json", "--data-dir", str(ground.folder)],
        env=os.environ | variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == ""
    assert Told(1, done.stdout).complaints == {"store.answers": "problem", "archive.answers": "problem"}


def test_what_a_server_says_is_sieved_all_the_same(well: Ground) -> None:
    # A worker's words come from the store, where anybody may have written them.
    well.raw.set("lb:{0}:worker", b'{"owner": "w", "at_ms": 1, "problem": "cannot use hunter22 or hunter%2F22"}', ex=60)
    told = well.doctor(LEADERBOARD_ADMIN_KEY="hunter22", LEADERBOARD_SERVER_KEY="hunter/22")
    assert "cannot use *** or ***" in told.says("installation.worker")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://u:p@h:1/2", "redis://h:1/2"),
        ("rediss://[::1]", "rediss://[::1]:6379/0"),
        ("unix://u:p@/tmp/a%20b?db=3", "unix:///tmp/a b"),
        ("redis://h?password=p&username=u", "redis://h:6379/0"),
    ],
)
def test_an_address_is_shown_without_its_user_and_password(url: str, shown: str) -> None:
    assert store_address(url) == shown


def test_a_databases_address_is_shown_without_its_user_and_password(tmp_path: Path) -> None:
    def shown(url: str | None) -> str:
        return archive_address(Settings(data_dir=tmp_path, database_url=url))

    assert shown("postgresql://u:p@h:1/d?password=q") == "PostgreSQL on h:1, database d"
    assert shown("postgres:///d?host=/run/pg") == "PostgreSQL on /run/pg, database d"
    assert shown("sqlite:////tmp/x") == "SQLite in /tmp/x"
    assert shown(None) == f"SQLite in {tmp_path}/archive.sqlite"
    with pytest.raises(SettingError, match="cannot be read"):
        store_address("redis://u:p/q@h")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="`serve` is told by its output and its processes here")
def test_a_real_serve_is_well_and_then_stopped(ground: Ground, tmp_path: Path) -> None:
    """As two people use it: one runs `serve`, the other asks the doctor, by the data directory alone."""
    output = tmp_path / "serve.out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [
                sys.executable, "-c", "from leaderboard.cli import main; main()", "serve", "--workers", "1",
                "--port", str(free_port()), "--data-dir", str(ground.folder),
            ],
            stdout=file, stderr=file,
        )  # fmt: skip
    try:
        eventually(lambda: "Ctrl-C stops it" in output.read_text() or process.poll() is not None, "a start")
        told: list[Told] = []

        def is_well() -> bool:
            told.append(ground.doctor())
            return told[-1].complaints == {}

        # The worker says that it is there a moment after the start.
        eventually(is_well, "all is well")
        assert told[-1].exit_code == 0
        assert list(told[-1].statuses) == NAMES
    finally:
        process.terminate()
        process.wait(WITHIN_S)
    stopped = ground.doctor()
    assert stopped.exit_code == 1
    assert stopped.complaints == {"store.embedded": "problem"}
    assert "stopped as it should be" in stopped.says("store.embedded")
