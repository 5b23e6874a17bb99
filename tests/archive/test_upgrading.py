"""The service of a new version, and an archive that the old one's worker has written to so far."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from leaderboard.worker.drain import Drain
from tests.client import Client


def archive(drain: Drain) -> None:
    while drain.step():
        pass
    drain.finish()


@pytest.mark.parametrize(
    "path",
    ["/v1/admin/audit", "/v1/admin/reviews", "/v1/admin/boards/main/revisions", "/v1/players/alice/export"],
)
def test_what_needs_the_archive_waits_until_a_worker_has_brought_it_there(app: Flask, api: Client, path: str) -> None:
    lb = app.extensions["leaderboard"]
    api.define("main")
    api.submit("alice", 1)
    archive(Drain(lb))
    with lb.archive.write() as connection:
        for column in ("merged", "absorbs"):
            connection.execute(text(f"ALTER TABLE lb_players DROP COLUMN {column}"))
        connection.execute(text("UPDATE lb_schema SET version_num = '0007'"))
    problem = api.admin.get(path, expect=503)
    assert problem["code"] == "archive_unavailable"
    assert "another version (0007" in problem["detail"]
    # All else goes on.
    api.submit("alice", 2)
    archive(Drain(lb))
    api.admin.get(path)
