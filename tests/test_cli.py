"""The commands, run as a person runs them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from werkzeug.serving import make_server

from leaderboard.cli import main
from leaderboard.worker.drain import Drain
from tests.client import ADMIN_KEY, Client
from tests.live import eventually

FILE = """
[defaults]
writes = "servers"

[boards.main]
title = "Main"

[boards.speedrun]
order = "asc"
decimals = 3
writes = "players"
"""


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


@pytest.fixture
def apply(url: str, tmp_path: Path) -> Any:
    def apply_text(text: str, *options: str, name: str = "boards.toml") -> Result:
        (tmp_path / name).write_text(text)
        return run("boards", "apply", str(tmp_path / name), "--url", url, "--key", ADMIN_KEY, *options)

    return apply_text


def test_a_file_defines_its_boards_with_its_defaults(api: Client, apply: Any) -> None:
    result = apply(FILE)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == ["+ main", "+ speedrun", "2 boards applied"]
    assert api.get("/v1/boards/main")["writes"] == "servers"
    assert api.get("/v1/boards/speedrun")["writes"] == "players"
    assert apply(FILE).output.splitlines()[:2] == ["= main", "= speedrun"]


def test_json_does_as_well(api: Client, apply: Any) -> None:
    text = json.dumps({"defaults": {"decimals": 2}, "boards": {"main": {"title": "M"}}})
    assert apply(text, name="boards.json").exit_code == 0
    assert api.get("/v1/boards/main")["decimals"] == 2


def test_a_dry_run_shows_the_difference_and_changes_nothing(api: Client, apply: Any) -> None:
    apply(FILE)
    result = apply(FILE.replace('"Main"', '"Other"'), "--dry-run")
    assert '    title: "Main" → "Other"' in result.output
    assert api.get("/v1/boards/main")["title"] == "Main"


def test_a_mistake_in_one_board_keeps_all_as_they_are(api: Client, apply: Any) -> None:
    apply(FILE)
    result = apply(FILE.replace('"Main"', '"Other"').replace("decimals = 3", "decimals = 9"))
    assert result.exit_code == 1
    assert "! speedrun" in result.output
    assert "/decimals" in result.output
    assert api.get("/v1/boards/main")["title"] == "Main"


def test_prune_archives_what_the_file_does_not_name(api: Client, apply: Any) -> None:
    api.define("stray", title="Stray")
    assert apply(FILE, "--prune").exit_code == 0
    assert [board["id"] for board in api.get("/v1/boards?state=archived")["boards"]] == ["stray"]
    assert api.get("/v1/boards/stray")["title"] == "Stray"


@pytest.mark.parametrize("text", ["boards = 3", "[other]\na=1", "not toml", "[boards]\nmain = 3"])
def test_a_file_of_another_form_is_refused_in_one_line(apply: Any, text: str) -> None:
    result = apply(text)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_a_bad_key_or_no_service_is_said_in_one_line(url: str, tmp_path: Path) -> None:
    (tmp_path / "b.toml").write_text(FILE)
    for options in (["--url", url, "--key", "wrong"], ["--url", "http://127.0.0.1:1", "--key", "x"], ["--url", url]):
        result = run("boards", "apply", str(tmp_path / "b.toml"), *options, LEADERBOARD_ADMIN_KEY="")
        assert result.exit_code == 1
        assert len(result.output.strip().splitlines()) == 1


def test_keys_are_made_listed_and_revoked_in_the_store(api: Client, store_url: str) -> None:
    made = run("keys", "create", "ci", "--role", "server", LEADERBOARD_REDIS_URL=store_url).output.strip()
    caller = Client(api.http, made)
    caller.put("/v1/players/alice", {}, expect=201)
    listed = run("keys", "list", LEADERBOARD_REDIS_URL=store_url).output
    key_id = listed.split()[0]
    assert listed.split()[1:4] == ["server", "works", "ci"]
    assert made not in listed
    assert run("keys", "revoke", key_id, LEADERBOARD_REDIS_URL=store_url).exit_code == 0
    assert "revoked" in run("keys", "list", LEADERBOARD_REDIS_URL=store_url).output
    assert run("keys", "revoke", "nope", LEADERBOARD_REDIS_URL=store_url).exit_code == 1


def test_a_key_of_some_scopes_for_some_days_is_made_and_rotated_in_the_store(api: Client, store_url: str) -> None:
    def keys(*arguments: str) -> Result:
        return run("keys", *arguments, LEADERBOARD_REDIS_URL=store_url)

    scopes = ("--scope", "boards", "--scope", "audit")
    made = keys("create", "ci", "--role", "admin", *scopes, "--days", "1").output.strip()
    assert Client(api.http, made).call("PUT", "/v1/admin/boards/main", {}).status_code == 201
    assert Client(api.http, made).call("GET", "/v1/admin/keys").status_code == 403
    listed = keys("list").output
    assert f"…{made[-4:]}" in listed
    assert "(audit, boards)" in listed
    (key,) = api.admin.get("/v1/admin/keys")["keys"]
    assert key["expires_at"] is not None
    rotated = keys("rotate", key["id"], "--overlap-s", "0").output.strip()
    eventually(lambda: Client(api.http, made).call("GET", "/v1/boards").status_code == 401, "it has ended", within_s=5)
    assert Client(api.http, rotated).call("PUT", "/v1/admin/boards/second", {}).status_code == 201
    assert keys("create", "ci", "--role", "server", "--scope", "boards").exit_code == 2
    assert keys("create", "ci", "--role", "admin", "--scope", "everything").exit_code == 2
    assert keys("rotate", "nope").exit_code == 1


def test_what_is_done_on_the_command_line_is_in_the_audit(
    api: Client, app: Flask, store_url: str, tmp_path: Path
) -> None:
    api.define("main")
    (tmp_path / "scores.csv").write_text("player,score\nalice,5\n")
    environment = {"LEADERBOARD_REDIS_URL": store_url, "LEADERBOARD_DATA_DIR": str(tmp_path / "data")}
    made = run("import", "scores", str(tmp_path / "scores.csv"), "--board", "main", **environment)
    assert made.exit_code == 0, made.output
    run("keys", "create", "ci", "--role", "read", **environment)
    key_id = run("keys", "list", **environment).output.split()[0]
    run("keys", "rotate", key_id, **environment)
    run("keys", "revoke", key_id, **environment)
    Drain(app.extensions["leaderboard"]).step()
    acts = api.admin.get("/v1/admin/audit?actor=cli")["acts"]
    done = [(act["operation"], act["key"], act["actor"]["role"]) for act in acts]
    assert done == [
        ("revoke_key", key_id, "cli"), ("rotate_key", key_id, "cli"), ("create_key", key_id, "cli"),
        ("import_scores", None, "cli"),
    ]  # fmt: skip


def test_keys_without_a_store_say_what_is_missing(tmp_path: Path) -> None:
    result = run("keys", "list", "--data-dir", str(tmp_path), LEADERBOARD_REDIS_URL="")
    assert result.exit_code == 1
    assert "LEADERBOARD_REDIS_URL" in result.output
