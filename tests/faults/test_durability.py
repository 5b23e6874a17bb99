"""LEADERBOARD_DURABILITY: what is acknowledged is on the disk or on a replica, or it is not acknowledged."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from leaderboard import create_app
from leaderboard.cli import main
from leaderboard.errors import SettingError
from leaderboard.installation import open_installation
from leaderboard.serve import supervisor
from leaderboard.serve.first_start import first_keys
from leaderboard.settings import Durability, Settings, load_settings
from leaderboard.store.engine import packaged_binary
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.live import eventually, free_port


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int
    raw: redis.Redis

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def server(folder: Path, *options: str) -> Iterator[Server]:
    folder.mkdir()
    port = free_port()
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary())
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    raw = redis.Redis(port=port)
    try:
        eventually(lambda: answers(raw), "the server answers")
        yield Server(process, port, raw)
    finally:
        raw.close()
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def answers(raw: redis.Redis) -> bool:
    try:
        return bool(raw.ping())
    except redis.ConnectionError:
        return False


@contextmanager
def api_of(store: Server, folder: Path, durability: Durability, **more: float) -> Iterator[Client]:
    settings = Settings(
        redis_url=f"redis://127.0.0.1:{store.port}", data_dir=folder / "data", admin_key=ADMIN_KEY,
        server_key=SERVER_KEY, durability=durability, **more,
    )  # fmt: skip
    app = create_app(settings)
    yield Client(app.test_client())
    app.extensions["leaderboard"].close()


def knows_waitaof(raw: redis.Redis) -> bool:
    try:
        raw.execute_command("WAITAOF", 0, 0, 1)
    except redis.ResponseError:
        return False
    return True


def test_a_submission_is_acknowledged_when_a_replica_has_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(server(tmp_path / "store"))
        replica = stack.enter_context(server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(store.port)))
        eventually(lambda: replica.raw.info("replication")["master_link_status"] == "up", "the replica follows")
        api = stack.enter_context(api_of(store, tmp_path, Durability.REPLICATED, durability_wait_s=1.5))
        api.define()
        api.submit("alice", 10, key="k")
        # Without waiting for anything more: it is there.
        assert replica.raw.hexists("lb:{0}:entries:main:s1", "alice")
        with replica.frozen():
            problem = api.submit("alice", 20, key="k2", expect=503)
            assert problem["code"] == "not_durable"
            # A repeat writes nothing, and still is not acknowledged before the replica has what it repeats.
            assert api.submit("alice", 10, key="k", expect=503)["code"] == "not_durable"
            assert api.submit("alice", 20, key="k2", expect=503)["code"] == "not_durable"
            batch = {"submissions": [{"board": "main", "player": "bob", "score": 1}]}
            assert api.server.post("/v1/submissions/batch", batch, expect=503)["code"] == "not_durable"
            # Reads go on.
            assert api.table() == [(1, "alice", 20), (2, "bob", 1)]
        eventually(lambda: api.server.call("PUT", "/v1/players/carol", {}).status_code in (200, 201), "it recovers")
        again = api.server.call(
            "POST", "/v1/boards/main/submissions", {"player": "alice", "score": 20}, {"Idempotency-Key": "k2"}
        )
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")


def test_without_enough_replicas_nothing_is_acknowledged(tmp_path: Path) -> None:
    with (
        server(tmp_path / "store") as store,
        api_of(store, tmp_path, Durability.REPLICATED, durability_wait_s=0.05) as api,
    ):
        response = api.admin.call("PUT", "/v1/admin/boards/main", {})
        assert (response.status_code, response.get_json()["code"]) == (503, "not_durable")
        assert response.headers["Retry-After"] == "1"


def test_a_secret_is_shown_although_no_replica_has_its_key(tmp_path: Path) -> None:
    with server(tmp_path / "store") as store:
        url = f"redis://127.0.0.1:{store.port}"
        settings = Settings(redis_url=url, data_dir=tmp_path / "data", durability=Durability.REPLICATED)
        first = first_keys(settings)
        assert (tmp_path / "data" / "keys.env").read_text().count("lbk_") == len(first.made) == 2
        environment = {
            "LEADERBOARD_REDIS_URL": url, "LEADERBOARD_DATA_DIR": str(tmp_path / "data"),
            "LEADERBOARD_DURABILITY": "replicated",
        }  # fmt: skip
        made = CliRunner().invoke(main, ["keys", "create", "ci", "--role", "admin"], env=environment)
        assert made.exit_code == 0, made.output
        key_id = made.output.split("_")[1]
        rotated = CliRunner().invoke(main, ["keys", "rotate", key_id], env=environment)
        lb = open_installation(settings)
        for secret in (*first.made.values(), made.output.strip(), rotated.output.strip()):
            assert lb.credentials.check(secret) is not None
        lb.close()


def test_no_key_is_made_in_a_store_that_cannot_do_what_is_asked(tmp_path: Path) -> None:
    with server(tmp_path / "store") as store:
        settings = Settings(
            redis_url=f"redis://127.0.0.1:{store.port}", data_dir=tmp_path / "data", durability=Durability.FSYNC
        )
        with pytest.raises(SettingError, match=r"LEADERBOARD_DURABILITY is fsync.*LEADERBOARD_STORE_BINARY"):
            first_keys(settings)
        assert store.raw.keys("lb:*:keys") == []


def test_a_submission_is_acknowledged_when_it_is_on_the_disk(tmp_path: Path) -> None:
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with server(tmp_path / "store", *options) as store, ExitStack() as stack:
        if not knows_waitaof(store.raw):
            lb = open_installation(Settings(redis_url=f"redis://127.0.0.1:{store.port}", durability=Durability.FSYNC))
            with pytest.raises(SettingError, match=r"LEADERBOARD_DURABILITY is fsync, and the store cannot"):
                lb.claim.check()
            lb.close()
            return
        api = stack.enter_context(api_of(store, tmp_path, Durability.FSYNC))
        api.define()
        api.submit("alice", 10)
        # With this policy the disk follows only after the wait has ended.
        store.raw.config_set("appendfsync", "no")
        assert api.submit("alice", 20, expect=503)["code"] == "not_durable"
        store.raw.config_set("appendfsync", "always")
        api.submit("alice", 30)
        store.raw.config_set("appendonly", "no")
        assert api.submit("alice", 40, expect=503)["code"] == "not_durable"
        assert "fsync" in api.get("/readyz", expect=503)["detail"]


def test_the_embedded_store_alone_is_not_replicated(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, durability=Durability.REPLICATED)
    with pytest.raises(SettingError, match="embedded store"):
        supervisor.serve(settings, host="127.0.0.1", port=free_port())


def test_another_word_for_durability_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEADERBOARD_DURABILITY", "always")
    with pytest.raises(SettingError, match="everysec, fsync, replicated"):
        load_settings()
