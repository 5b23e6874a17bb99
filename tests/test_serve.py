"""`leaderboard serve`, as real processes from end to end."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import WITHIN_S, eventually, free_port

pytestmark = [
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc to find processes"),
    # It finds its own engine, whatever the other tests have, and keeps its archive beside it.
    pytest.mark.any_store,
]


def parent_of(pid: int) -> int | None:
    """Return a process's parent; None when it is gone, or only waits to be reaped."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if state == "Z" else int(parent)


def runs(pid: int) -> bool:
    return parent_of(pid) is not None


def ended(pid: int) -> bool:
    return not runs(pid)


def below(pid: int) -> list[int]:
    """Return the ids of all processes that descend from this one."""
    parents = {int(entry.name): parent_of(int(entry.name)) for entry in Path("/proc").glob("[0-9]*")}
    found, frontier = [], [pid]
    while frontier:
        frontier = [child for child, parent in parents.items() if parent in frontier]
        found += frontier
    return found


def child_of(pid: int, part_of_its_command: str) -> int | None:
    for child in below(pid):
        try:
            command = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent_of(child) == pid and part_of_its_command in command:
            return child
    return None


class Serve:
    """A running `leaderboard serve` and what it wrote."""

    def __init__(self, data_dir: Path, *options: str, **variables: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        data_dir.parent.mkdir(exist_ok=True)
        self.output = data_dir.parent / "serve.out"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
        command = ["serve", "--port", str(self.port), "--data-dir", str(data_dir), "--workers", "1", *options]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", "from leaderboard.cli import main; main()", *command],
                env={**inherited, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def wrote(self) -> str:
        return self.output.read_text()

    def started(self) -> Serve:
        eventually(lambda: "Ctrl-C stops it" in self.wrote() or self.process.poll() is not None, "a start")
        assert self.process.poll() is None, self.wrote()
        return self

    def stopped(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(WITHIN_S)

    def keys(self) -> dict[str, str]:
        lines = (self.data_dir / "keys.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if not line.startswith("#"))

    def call(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {} if key is None else {"Authorization": f"Bearer {self.keys()[key]}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=10, trust_env=False, **more)

    def rank_of_alice(self) -> int | None:
        """Return it, or None while the service does not answer that."""
        try:
            answer = self.call("GET", "/v1/boards/main/standings/alice")
        except httpx.TransportError:
            return None
        return int(answer.json()["entry"]["rank"]) if answer.status_code == 200 else None

    def submit_as_printed(self) -> None:
        """Run the lines that it printed, in a shell of their own."""
        lines = self.wrote().partition("standings\n\n")[2].partition("\n\n")[0]
        assert lines.startswith(". "), lines
        subprocess.run(["sh", "-e", "-c", lines.replace("curl ", "curl -fsS ")], check=True, capture_output=True)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serve]]:
    running: list[Serve] = []

    def start(*options: str, name: str = "data", **variables: str) -> Serve:
        running.append(Serve(tmp_path / name / "data", *options, **variables))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            family = below(one.pid)
            one.process.kill()
            one.process.wait(WITHIN_S)
            for pid in family:
                eventually(partial(ended, pid), "the children end")


@pytest.mark.skipif(shutil.which("curl") is None, reason="runs the curl lines")
def test_what_it_prints_works_when_pasted(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    assert running.call("GET", "/livez").status_code == 200
    running.submit_as_printed()
    assert running.rank_of_alice() == 1


def test_sigterm_ends_it_with_0_and_leaves_nothing(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    family = below(running.pid)
    assert len(family) >= 3
    assert running.stopped() == 0
    assert not any(map(runs, family))
    assert not (running.data_dir / "store" / "store.sock").exists()


def test_ctrl_c_ends_it_with_0(serve: Callable[..., Serve]) -> None:
    assert serve().started().stopped(signal.SIGINT) == 0


def test_it_can_be_stopped_while_it_starts(serve: Callable[..., Serve]) -> None:
    running = serve()
    eventually(lambda: child_of(running.pid, "unixsocket") is not None, "the store starts")
    family = below(running.pid)
    assert running.stopped() == 0
    assert not any(map(runs, family))


def test_the_next_start_has_the_data_and_the_keys(serve: Callable[..., Serve]) -> None:
    first = serve().started()
    first.submit_as_printed()
    keys = first.keys()
    first.stopped()
    second = serve().started()
    assert second.keys() == keys
    assert second.rank_of_alice() == 1
    assert second.call("GET", "/v1/admin/boards/main", "LEADERBOARD_ADMIN_KEY").status_code == 200


def test_first_keys_are_the_owners_alone_and_not_in_the_output(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    assert stat.S_IMODE((running.data_dir / "keys.env").stat().st_mode) == 0o600
    keys = running.keys()
    assert set(keys) == {"LEADERBOARD_ADMIN_KEY", "LEADERBOARD_SERVER_KEY"}
    assert not [secret for secret in keys.values() if secret in running.wrote()]
    assert str(running.data_dir / "keys.env") in running.wrote()


def test_a_store_that_was_deleted_is_made_anew_from_the_archive(serve: Callable[..., Serve]) -> None:
    first = serve().started()
    first.submit_as_printed()
    keys = first.keys()
    first.stopped()
    shutil.rmtree(first.data_dir / "store")
    second = serve().started()
    assert "making it anew from the archive" in second.wrote()
    assert second.keys() == keys
    assert second.rank_of_alice() == 1


def test_store_and_archive_deleted_begin_anew_with_new_keys(serve: Callable[..., Serve]) -> None:
    first = serve().started()
    keys = first.keys()
    first.stopped()
    shutil.rmtree(first.data_dir / "store")
    for file in first.data_dir.glob("archive.sqlite*"):
        file.unlink()
    second = serve().started()
    assert not set(second.keys().values()) & set(keys.values())
    second.submit_as_printed()


def test_a_key_that_a_setting_gives_is_not_made(serve: Callable[..., Serve]) -> None:
    running = serve(LEADERBOARD_ADMIN_KEY="an-admin-key-of-my-own-0123456789").started()
    assert set(running.keys()) == {"LEADERBOARD_SERVER_KEY"}


def test_a_killed_store_comes_back_with_what_it_had(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    running.submit_as_printed()
    store = child_of(running.pid, "unixsocket")
    assert store is not None
    os.kill(store, signal.SIGKILL)
    eventually(lambda: "the store ended (status -9)" in running.wrote(), "the death is seen")
    eventually(lambda: running.rank_of_alice() == 1, "the same workers answer again")
    assert child_of(running.pid, "unixsocket") not in (None, store)


def test_a_killed_web_server_is_replaced_on_the_same_port(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    web = child_of(running.pid, "gunicorn")
    assert web is not None
    workers = below(web)
    os.kill(web, signal.SIGKILL)
    eventually(lambda: child_of(running.pid, "gunicorn") not in (None, web), "a new one")
    # It waits in the socket that the supervisor kept open, instead of being refused.
    assert running.call("GET", "/livez").status_code == 200
    assert not any(map(runs, workers))


def test_nothing_outlives_a_killed_supervisor(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    running.submit_as_printed()
    family = below(running.pid)
    assert len(family) >= 3
    running.process.kill()
    running.process.wait(WITHIN_S)
    eventually(lambda: not any(map(runs, family)), "the children end")
    assert serve().started().rank_of_alice() == 1


def test_requests_in_flight_are_finished(serve: Callable[..., Serve]) -> None:
    running = serve().started()
    running.submit_as_printed()
    request = f"GET /v1/boards/main/standings HTTP/1.1\r\nHost: 127.0.0.1:{running.port}\r\n"
    with closing(socket.create_connection(("127.0.0.1", running.port), WITHIN_S)) as connection:
        connection.sendall(request.encode())
        eventually(lambda: accepted(running.port), "the worker has the connection")
        stopping = threading.Thread(target=running.stopped)
        stopping.start()
        eventually(lambda: not is_listening(running.port), "the stop has begun")
        connection.sendall(b"Connection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"alice" in answer
    stopping.join(WITHIN_S)
    assert running.process.returncode == 0


def connections(port: int) -> list[list[str]]:
    """Return the lines of /proc/net/tcp whose own side is that port."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [line for line in lines if line[1].endswith(f":{port:04X}")]


def is_listening(port: int) -> bool:
    return any(line[3] == "0A" for line in connections(port))


def accepted(port: int) -> bool:
    # An established connection has no inode until a process accepts it.
    return any(line[3] == "01" and line[9] != "0" for line in connections(port))


def test_a_port_in_use_is_said_before_anything_starts(serve: Callable[..., Serve], tmp_path: Path) -> None:
    with closing(socket.socket()) as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        running = serve("--port", str(port))
        assert running.process.wait(WITHIN_S) == 1
    assert running.wrote() == (
        f"Error: port {port} on 127.0.0.1 is in use by another program; choose another with --port\n"
    )
    assert not running.data_dir.exists()


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("LEADERBOARD_REDIS_URL", "http://somewhere"),
        ("LEADERBOARD_REDIS_URL", "redis://user:pass/word@somewhere"),
        ("LEADERBOARD_DATABASE_URL", "postgresql://user@host:port/x"),
    ],
)
def test_an_address_that_is_none_is_said_before_anything_starts(
    serve: Callable[..., Serve], name: str, address: str
) -> None:
    running = serve(**{name: address})
    assert running.process.wait(WITHIN_S) == 1
    assert re.fullmatch(rf"Error: {name} cannot be read; [^\n]*\n", running.wrote())
    assert not running.data_dir.exists()


def test_a_second_serve_on_the_same_directory_is_refused(serve: Callable[..., Serve]) -> None:
    first = serve().started()
    (first.data_dir.parent / "serve.out").rename(first.data_dir.parent / "first.out")
    second = serve()
    assert second.process.wait(WITHIN_S) == 1
    assert re.fullmatch(r"Error: the data directory .* is in use by another leaderboard .*\n", second.wrote())
    assert first.call("GET", "/livez").status_code == 200


def test_an_application_that_does_not_start_ends_it(serve: Callable[..., Serve]) -> None:
    running = serve(WEB_CONCURRENCY="1", GUNICORN_CMD_ARGS="--worker-class nonsense")
    assert running.process.wait(WITHIN_S) == 1
    assert "Error: the web server did not start (status" in running.wrote()
    assert not is_listening(running.port)


def test_the_demo_plays_and_is_the_same_players_next_time(serve: Callable[..., Serve]) -> None:
    first = serve("--demo").started()

    def ids(running: Serve) -> set[str]:
        answer = running.call("GET", "/v1/boards/demo/standings?limit=100")
        if answer.status_code != 200:
            return set()
        return {entry["player"]["id"] for entry in answer.json()["entries"]}

    eventually(lambda: len(ids(first)) >= 3, "some play")
    file = first.data_dir / "demo.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    devices = set(re.findall(r'"device_id": "([^"]{43})"', file.read_text()))
    assert len(devices) == 50
    assert first.stopped() == 0
    second = serve("--demo").started()
    before = ids(second)
    eventually(lambda: len(ids(second)) > len(before), "they play on")
    assert set(re.findall(r'"device_id": "([^"]{43})"', file.read_text())) == devices
    assert "demo ended" not in first.wrote() + second.wrote()
