"""What `docker/` holds, run without Docker: the store as compose.yaml starts it, the service as the image does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml
from flask import Flask
from redis.backoff import NoBackoff
from redis.retry import Retry

from leaderboard import create_app
from leaderboard.rebuild import rebuild
from leaderboard.rebuild.verification import verify_standings
from leaderboard.settings import Settings
from leaderboard.store.engine import find_engine
from leaderboard.worker.drain import Drain
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.live import WITHIN_S, eventually, free_port

DOCKER = Path(__file__).parent.parent / "docker"
PASSWORD = "0a1b2c3d-store-password"


def connect(port: int, user: str, password: str | None) -> redis.Redis:
    once = Retry(NoBackoff(), 0)
    return redis.Redis(port=port, username=user, password=password, decode_responses=True, retry=once)


@pytest.fixture(scope="module")
def store_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The store by compose.yaml's own command; only places differ, and there is an auditor who may look at it all."""
    folder, port = tmp_path_factory.mktemp("docker"), free_port()
    conf = (DOCKER / "valkey.conf").read_text()
    for ours, here in (("port 6379", f"port {port}\nbind 127.0.0.1"), ("dir /data", f"dir {folder}")):
        assert ours in conf
        conf = conf.replace(ours, here)
    (folder / "given.conf").write_text(f"{conf}\nuser auditor on nopass +@all ~*\n")

    shell, flags, script = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]["store"]["command"]
    script = script.replace("$$", "$").replace("/tmp/valkey.conf", f"{folder}/made.conf")
    script = script.replace("/etc/valkey/valkey.conf", f"{folder}/given.conf")
    engine = find_engine(os.environ.get("LEADERBOARD_TEST_STORE") or None).path
    script = script.replace("exec valkey-server", f"exec {engine}")
    with (folder / "store.log").open("wb") as log:
        process = subprocess.Popen(
            [shell, flags, script], env=os.environ | {"STORE_PASSWORD": PASSWORD, "LC_ALL": "C"}, stdout=log, stderr=log
        )
    with connect(port, "auditor", None) as auditor:

        def answers() -> bool:
            assert process.poll() is None, (folder / "store.log").read_text()
            try:
                return bool(auditor.ping())
            except redis.ConnectionError:
                return False

        eventually(answers, "the store answers")
    yield port
    process.terminate()
    process.wait(WITHIN_S)


@pytest.fixture
def settings(store_port: int, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    url = f"redis://leaderboard:{PASSWORD}@127.0.0.1:{store_port}/0"
    folder = tmp_path_factory.mktemp("archive")
    return Settings(redis_url=url, data_dir=folder, admin_key=ADMIN_KEY, server_key=SERVER_KEY)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    app = create_app(settings)
    yield app
    app.extensions["leaderboard"].close()


def test_the_service_may_do_all_that_it_needs(api: Client, app: Flask, store_port: int) -> None:
    api.get("/readyz")
    periods = [{"kind": kind} for kind in ("season", "alltime", "daily", "weekly", "monthly")]
    api.define("docker", ties="dense", tiebreaks=[{"name": "wins"}], periods=periods)
    for player, score in (("alice", 5), ("bob", 9), ("carol", 7)):
        api.submit(player, score, "docker", key=f"key-of-{player}")
        api.submit(player, score, "docker", key=f"key-of-{player}")
    batch = [{"board": "docker", "player": f"p{n}", "score": n} for n in range(300)]
    assert api.server.post("/v1/submissions/batch", {"submissions": batch}, key="batch")["applied"] == 300

    session = api.post("/v1/sessions", {"device_id": "d" * 32, "display_name": "Ada"}, expect=201)
    ada, me = Client(api.http, session["token"]), session["player"]["id"]
    ada.post("/v1/boards/docker/submissions", {"score": 1000, "tiebreaks": {"wins": 3}})
    ada.patch("/v1/players/me", {"display_name": "Ada L."})
    ada.put("/v1/players/me/friends/alice")
    api.server.put("/v1/players/alice/friends", {"players": ["bob", "carol"]})
    ada.put("/v1/players/me/blocks/bob", expect=204)
    ada.delete("/v1/players/me/blocks/bob")

    path = "/v1/boards/docker"
    page = api.get(f"{path}/standings?limit=2")
    assert page["entries"][0]["player"]["id"] == me
    assert api.get(f"{path}/standings?limit=2&cursor={page['next_cursor']}")["entries"][0]["rank"] == 3
    assert api.get(f"{path}/standings?around_score=9&period=daily")["total"] == 304
    assert ada.get(f"{path}/standings/me/around")["entries"]
    assert api.server.get(f"{path}/standings/alice/friends")["total"] == 3
    assert api.post(f"{path}/lookup", {"players": ["alice", "nobody"]})["not_found"] == ["nobody"]
    for what in (f"{path}/distribution", f"{path}/periods", f"{path}", "/v1/boards", f"/v1/players/{me}/entries"):
        api.get(what)

    admin = "/v1/admin/boards/docker"
    api.admin.put(f"{admin}/entries/bob", {"score": 1, "reason": "a test"})
    api.admin.delete(f"{admin}/entries/bob?reason=a+test")
    assert api.admin.post(f"{admin}/reset", {"season": "s1"})["opened"] == "s2"
    key = api.admin.post("/v1/admin/keys", {"name": "k", "role": "read"}, expect=201)
    api.admin.get("/v1/admin/keys")
    api.admin.delete(f"/v1/admin/keys/{key['id']}")
    api.admin.put("/v1/admin/maintenance", {})
    api.admin.delete("/v1/admin/maintenance")
    api.server.delete("/v1/players/alice")

    lb = app.extensions["leaderboard"]
    drain = Drain(lb)
    while drain.step():
        pass
    assert all(check.difference is None for check in verify_standings(lb))
    api.server.get("/v1/players/bob/export")
    # The worker of before gives up its lease when it stops.
    drain.finish()
    assert rebuild(lb, replacing=True).standings == 5
    ada.delete("/v1/sessions/current")
    api.define("docker", state="archived", ties="dense", tiebreaks=[{"name": "wins"}], periods=periods)
    api.admin.delete(admin)

    with connect(store_port, "auditor", None) as auditor:
        refused = [entry for entry in auditor.acl_log() if entry["username"] == "leaderboard"]
    assert not refused, "the store refused some of it"


def test_nobody_comes_in_without_the_password(store_port: int) -> None:
    for user, password in (("default", None), ("leaderboard", "wrong"), ("leaderboard", "@PASSWORD_SHA256@")):
        with connect(store_port, user, password) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


@pytest.mark.parametrize(
    "command",
    [
        "FLUSHALL", "KEYS *", "CONFIG SET maxmemory 1", "SHUTDOWN", "FUNCTION FLUSH", "FUNCTION DELETE x", "EVAL x 0",
        "GET other:key", "SET other:key x", "ACL SETUSER leaderboard allkeys", "PUBLISH x y", "CLIENT LIST",
    ],
)  # fmt: skip
def test_the_service_may_do_no_more(store_port: int, command: str) -> None:
    with connect(store_port, "leaderboard", PASSWORD) as client, pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command.split())


def test_what_was_erased_can_be_taken_out_of_the_files(store_port: int) -> None:
    with connect(store_port, "leaderboard", PASSWORD) as client:
        # As the operator's command in docs/operations.md has it.
        assert client.bgrewriteaof()


def test_the_store_is_kept_and_evicts_nothing(store_port: int) -> None:
    with connect(store_port, "auditor", None) as auditor:
        settings = auditor.config_get("append*", "maxmemory-policy", "lazyfree-lazy-expire")
    assert settings["appendonly"] == "yes"
    assert settings["maxmemory-policy"] == "noeviction"
    assert settings["lazyfree-lazy-expire"] == "yes"


def test_the_image_starts_the_service_and_knows_whether_it_is_healthy(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    recipe = (DOCKER / "Dockerfile").read_text()
    start = [part.strip(' "') for part in re.findall(r"^CMD \[(.*)\]$", recipe, re.M)[-1].split(", ")]
    assert start[:3] == ["gunicorn", "-c", "/app/gunicorn.conf.py"]
    start = [sys.executable, "-m", "gunicorn", "-c", str(DOCKER / "gunicorn.conf.py"), *start[3:]]
    check = re.findall(r'^  CMD \["python", "-c", "(.*)"\]$', recipe, re.M)[0].replace("8000", str(port))
    variables = {
        "LEADERBOARD_REDIS_URL": str(settings.redis_url),
        "GUNICORN_CMD_ARGS": f"-b 127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
        "PYTHONPATH": str(DOCKER.parent),
    }
    with (tmp_path / "log").open("wb") as log:
        # In an empty directory that it does not write to.
        service = subprocess.Popen(start, cwd=tmp_path, env=os.environ | variables, stdout=log, stderr=log)
    try:

        def is_healthy() -> bool:
            assert service.poll() is None, (tmp_path / "log").read_text()
            return subprocess.run([sys.executable, "-c", check], capture_output=True, check=False).returncode == 0

        eventually(is_healthy, "the container's health check passes")
        assert [file.name for file in tmp_path.iterdir()] == ["log"]
    finally:
        service.terminate()
        service.wait(WITHIN_S)
    assert service.returncode == 0
    assert subprocess.run([sys.executable, "-c", check], capture_output=True, check=False).returncode


def test_no_file_names_an_index_or_a_place_on_somebodys_machine() -> None:
    for lock in DOCKER.glob("requirements*.txt"):
        assert not re.search(r"://|--(index|find)|/(tmp|home|root|work|opt)/", lock.read_text()), lock.name
