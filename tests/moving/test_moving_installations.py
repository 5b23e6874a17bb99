"""A whole installation moves: all of it is there again, whatever happens on the way, and nobody is let in before."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis
from click.testing import CliRunner
from sqlalchemy import select

from leaderboard.claim import StoreLostError
from leaderboard.cli import main
from leaderboard.moving.arriving import ImportRefusedError, import_installation
from leaderboard.moving.document import new_file
from leaderboard.moving.export import Format, export_board
from leaderboard.moving.foreign import SourceError
from leaderboard.moving.installation import TABLES, columns_of, export_installation, table_named
from leaderboard.rebuild import RebuildError, needed, rebuild
from leaderboard.settings import Settings
from leaderboard.store.engine import packaged_binary
from tests.calls import issue_key, unchanged
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import everything_of_players
from tests.live import eventually
from tests.moving.places import DAY_MS, Place, Story, different, places
from tests.reviewing import HOLDS, REVIEWS


@pytest.fixture
def two(settings: Settings, clock: SetClock, database_url: str) -> Iterator[list[Place]]:
    """One that has been in use, and one where nothing is yet."""
    with places(replace(settings, database_url=database_url), clock, "lb", "other") as made:
        made[0].lb.claim.check()
        yield made


@pytest.fixture
def two_on_sqlite(settings: Settings, clock: SetClock) -> Iterator[list[Place]]:
    with places(settings, clock, "lb", "other") as made:
        made[0].lb.claim.check()
        yield made


def exported(place: Place, path: Path, *, submissions: bool = False) -> Path:
    place.drain()
    with new_file(path) as file:
        export_installation(place.lb, file, submissions=submissions)
    return path


def archived(place: Place) -> dict[str, list[Any]]:
    """All that is exported with all submissions, as it stands in the archive."""
    tables, found = place.lb.archive.tables, {}
    with place.lb.archive.read() as connection:
        for name in TABLES:
            table = table_named(tables, name)
            query = select(*columns_of(table)).order_by(*table.primary_key.columns)
            found[name] = [tuple(row) for row in connection.execute(query)]
    return found


def lived_in(place: Place) -> tuple[Story, Client, str]:
    """An installation in which much has happened; with a key that works there, and the token of a player."""
    api = place.api
    story = Story(place)
    story.tell()
    _, server = issue_key(api, "server")
    token = api.player("p-7").token
    assert token is not None
    api.post("/v1/sessions", {"device_id": "d" * 40, "display_name": "Device"}, expect=201)
    api.server.put("/v1/players/p-7/friends", {"players": ["p-8", "p-9"]})
    api.server.put("/v1/players/p-8/blocks/p-10", expect=204)
    api.server.put("/v1/players/p-8/identities/steam", {"subject": "76561197960287930"}, expect=201)
    api.server.patch("/v1/players/p-9", {"avatar_url": "https://example.com/a/b.png", "country": "DE"})
    api.server.patch("/v1/players/p-9", {"platform": "ps5", "attributes": {"clan": "<é/>"}})
    api.define("gone", periods=[{"kind": "alltime"}])
    api.submit("p-7", 1, "gone")
    api.define("gone", state="archived", periods=[{"kind": "alltime"}])
    api.admin.delete("/v1/admin/boards/gone")
    api.define("frozen", state="frozen")
    api.define("plays", rules={"attempts": {"most": 3}})
    for player in ("p-7", "p-7", "p-8"):
        api.server.post("/v1/boards/plays/attempts", {"player": player}, expect=201)
    return story, server, token


def test_everything_is_there_again(two: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two
    story, server, token = lived_in(here)
    body = {"player": "p-7", "score": 77}
    answered = here.api.server.post("/v1/boards/race/submissions", body, key="retry")
    import_installation(there.lb, exported(here, tmp_path / "all.jsonl.gz", submissions=True))

    assert not different(here.keys(raw), there.keys(raw))
    assert different(archived(here), archived(there)) == {}
    assert here.shown() == there.shown()
    assert everything_of_players(here.api, story.players) == everything_of_players(there.api, story.players)

    # A play that was begun here ends there.
    (attempt,) = here.keys(raw)["attempts:plays:p-8"].value
    there.api.player("p-8").post("/v1/boards/plays/submissions", {"score": 1, "attempt": attempt.decode()})
    assert there.api.server.post("/v1/boards/plays/attempts", {"player": "p-7"}, expect=201)["left"] == 0

    # Who could call here can call there, and a retry of what counted here does not count once more.
    assert Client(there.api.http, server.token).get("/v1/players/p-7")["submissions"] > 0
    assert Client(there.api.http, token).get("/v1/players/me")["id"] == "p-7"
    assert there.api.post("/v1/sessions", {"device_id": "d" * 40}, expect=201)["created"] is False
    again = there.api.server.call("POST", "/v1/boards/race/submissions", body, {"Idempotency-Key": "retry"})
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.get_json()["outcome"] == answered["outcome"]
    # And it goes on from there.
    there.api.submit("p-7", 78, "race")
    there.drain()


def test_without_submissions_a_retry_is_known_all_the_same(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    Story(here).tell()
    here.api.server.post("/v1/boards/money/submissions", {"player": "p-7", "score": 5}, key="retry")
    path = exported(here, tmp_path / "all.jsonl")
    import_installation(there.lb, path)
    assert not different(here.keys(raw), there.keys(raw))
    few, all_of_them = archived(there)["submissions"], archived(here)["submissions"]
    assert 0 < len(few) < len(all_of_them)
    assert set(few) < set(all_of_them)
    again = there.api.server.call(
        "POST", "/v1/boards/money/submissions", {"player": "p-7", "score": 5}, {"Idempotency-Key": "retry"}
    )
    assert again.headers["Idempotent-Replayed"] == "true"


def test_maintenance_moves_too(two_on_sqlite: list[Place], tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define()
    here.api.admin.put("/v1/admin/maintenance", {"reason": "moving"})
    import_installation(there.lb, exported(here, tmp_path / "all.jsonl"))
    assert there.api.submit("alice", 1, expect=503)["code"] == "maintenance"
    there.api.admin.delete("/v1/admin/maintenance")
    there.api.submit("alice", 1)


def test_bans_move_too(two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define(ties="dense")
    for player, score in (("alice", 3), ("bob", 2), ("carol", 1)):
        here.api.submit(player, score)
    for player, kind in (("alice", "ban"), ("bob", "shadow")):
        ban = {"kind": kind, "reason": "cheated", "ends_at": "2999-01-01T00:00:00Z"}
        here.api.admin.put(f"/v1/admin/players/{player}/ban", ban)
    import_installation(there.lb, exported(here, tmp_path / "all.jsonl"))
    assert different(here.keys(raw), there.keys(raw)) == {}
    assert there.api.table() == [(1, "carol", 1)]
    for player in ("alice", "bob"):
        there.api.admin.delete(f"/v1/admin/players/{player}/ban?reason=mistake")
    assert there.api.table() == [(1, "alice", 3), (2, "bob", 2), (3, "carol", 1)]


def test_what_is_held_and_what_was_decided_move_too(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    here.api.define(rules=HOLDS)
    for player in ("alice", "bob", "carol"):
        here.api.submit(player, 2000)
    here.drain()
    reviews = {one["player"]: one["id"] for one in here.api.admin.get(REVIEWS)["reviews"]}
    for player, decision in (("alice", "approve"), ("bob", "reject")):
        here.api.admin.post(f"{REVIEWS}/{reviews[player]}/decision", {"decision": decision})
    import_installation(there.lb, exported(here, tmp_path / "all.jsonl"))
    assert different(here.keys(raw), there.keys(raw)) == {}
    for state in ("open", "approved", "rejected"):
        path = f"{REVIEWS}?state={state}"
        assert there.api.admin.get(path) == here.api.admin.get(path)
    there.api.admin.post(f"{REVIEWS}/{reviews['carol']}/decision", {"decision": "approve"})
    assert [player for _, player, _ in there.api.table()] == ["alice", "carol"]
    there.drain()
    there.api.admin.post(f"{REVIEWS}/{reviews['alice']}/decision", {"decision": "reopen"})
    assert [player for _, player, _ in there.api.table()] == ["carol"]


def test_by_the_commands(two: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two
    Story(here).tell()
    here.api.submit("p-7", 3, "race")
    # Nobody has archived that one yet: the command does.
    path = str(tmp_path / "all.jsonl.gz")
    assert "rows" in here.run("export", "installation", "-o", path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not Path(f"{path}.partial").exists()
    assert "standings with" in there.run("import", "installation", path)
    assert not different(here.keys(raw), there.keys(raw))
    assert "there is an installation here already" in there.run("import", "installation", path, status=1)


def test_only_an_empty_place_takes_one_in(two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define()
    path = exported(here, tmp_path / "all.jsonl")
    # Its store is claimed.
    there.api.define("theirs")
    for archives in (False, True):
        if archives:
            there.drain()
        with unchanged(raw), pytest.raises(ImportRefusedError, match="there is an installation here already"):
            import_installation(there.lb, path)
    # Its store is lost, and its archive is not.
    raw.delete(*raw.keys("other:*"))
    with pytest.raises(ImportRefusedError, match="there is an installation here already"):
        import_installation(there.lb, path)
    assert raw.keys("other:*") == []
    rebuild(there.lb)
    assert [board["id"] for board in there.api.get("/v1/boards")["boards"]] == ["theirs"]


def damaged(whole: bytes) -> Iterator[tuple[str, bytes]]:
    lines = whole.splitlines(keepends=True)
    yield "cut off", whole[:-1]
    yield "cut off", whole[: len(whole) // 2]
    yield "cut off", b"".join(lines[:-1])
    yield "cut off", lines[0]
    yield "damaged", b"".join([*lines[:3], *lines[4:]])
    yield "damaged", b"".join([*lines[:3], lines[4], lines[3], *lines[5:]])
    yield "damaged", whole.replace(b'"main"', b'"mane"')
    yield "not a file that", b""
    yield "not a file that", b"player,score\na,1\n"
    yield "not a file that", whole[1:]
    yield "reads form 1", whole.replace(b'"leaderboard_export":1', b'"leaderboard_export":2')
    yield "of the kind board, not installation", whole.replace(b'"kind":"installation"', b'"kind":"board"')


def test_a_file_that_is_not_whole_changes_nothing(two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path) -> None:
    here, there = two_on_sqlite
    here.api.define()
    here.api.submit("alice", 1)
    whole = exported(here, tmp_path / "all.jsonl").read_bytes()
    for reason, content in damaged(whole):
        for name, written in (("bad.jsonl", content), ("bad.jsonl.gz", gzip.compress(content))):
            (tmp_path / name).write_bytes(written)
            with pytest.raises(SourceError, match=reason):
                import_installation(there.lb, tmp_path / name)
    (tmp_path / "bad.jsonl.gz").write_bytes(gzip.compress(whole)[:-9])
    with pytest.raises(SourceError, match="cannot be read on"):
        import_installation(there.lb, tmp_path / "bad.jsonl.gz")
    assert not there.lb.archive.exists()
    assert raw.keys("other:*") == []
    (tmp_path / "good.jsonl.gz").write_bytes(gzip.compress(whole))
    import_installation(there.lb, tmp_path / "good.jsonl.gz")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"table":"readers","columns":["number"]}', "a table that this version does not know: 'readers'"),
        (
            '{"table":"boards","columns":["board","colour"]}',
            "columns of boards that this version does not know: colour",
        ),
        ('["alice"]', "a row of no table"),
        ('{"table":"keys","columns":["key_id","record"]}\n["a","b","c"]', "not a row of other_keys"),
        ('{"table":"keys","columns":["key_id","record"]}\n["a",7]', "its record is no such value"),
        ('{"table":"seasons","columns":["board","season","started_ms"]}\n["b","1",2]', "its season is no such value"),
        (
            '{"table":"entries","columns":["board","period_id","player","order_key","submissions","metadata"]}\n'
            '["b","all","a","*",1,""]',
            "not a row of other_entries",
        ),
        ('{"table":"sessions","columns":["player"]}\n["a"]', "sessions without its columns expires_ms, session"),
        (
            '{"table":"keys","columns":["key_id","record"]}\n["a","b"]\n["a","c"]',
            "the archive does not take the rows of other_keys",
        ),
    ],
)
def test_a_whole_file_that_is_not_right_is_refused_and_another_one_taken(
    two: list[Place], tmp_path: Path, line: str, reason: str
) -> None:
    here, there = two
    here.api.define()
    first, *rest = exported(here, tmp_path / "all.jsonl").read_bytes().splitlines()[:-1]
    content = b"\n".join([first, line.encode(), *rest, b""])
    (tmp_path / "bad.jsonl").write_bytes(content + ending(content))
    with pytest.raises(SourceError, match=reason):
        import_installation(there.lb, tmp_path / "bad.jsonl")
    # Nothing is made of a part.
    with pytest.raises(StoreLostError):
        there.lb.claim.check()
    with pytest.raises(ImportRefusedError, match="another file was cut off here"):
        import_installation(there.lb, tmp_path / "all.jsonl")
    import_installation(there.lb, tmp_path / "all.jsonl", anew=True)
    assert there.shown() == here.shown()


def ending(content: bytes) -> bytes:
    from hashlib import sha256  # noqa: PLC0415

    end = {"lines": content.count(b"\n"), "sha256": sha256(content).hexdigest()}
    return json.dumps({"end": end}).encode() + b"\n"


def test_from_one_embedded_store_into_another(
    settings: Settings, clock: SetClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = os.environ.get("LEADERBOARD_TEST_STORE") or str(packaged_binary())
    for name in [name for name in os.environ if name.startswith("LEADERBOARD_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LEADERBOARD_STORE_BINARY", binary)

    def run(*arguments: str, status: int = 0) -> str:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == status, result.output
        return result.stdout

    with places(settings, clock, "lb") as (place,):
        place.lb.claim.check()
        clock.pass_ms(-60 * DAY_MS)
        Story(place).tell()
        place.drain()
        with new_file(tmp_path / "race.jsonl") as file:
            export_board(place.lb, "race", file, Format.JSONL)
    here, there = ("--data-dir", str(tmp_path / "here")), ("--data-dir", str(tmp_path / "there"))
    run("export", "board", "race", *here, status=1)
    assert not (tmp_path / "here").exists()
    run("import", "scores", str(tmp_path / "race.jsonl"), *here)
    run("export", "installation", "-o", str(tmp_path / "all.jsonl.gz"), *here)
    run("import", "installation", str(tmp_path / "all.jsonl.gz"), *there)
    rows = (tmp_path / "race.jsonl").read_text().splitlines()[1:-1]
    assert run("export", "board", "race", *there).splitlines()[1:-1] == rows


# -- cut off ---------------------------------------------------------------------------------------------------------


def progress_of(place: Place) -> dict[str, Any]:
    if not place.lb.archive.exists():
        return {}
    installation = place.lb.archive.tables.installation
    with place.lb.archive.read() as connection:
        found = connection.scalar(select(installation.c.value).where(installation.c.name == "import"))
    return json.loads(found) if found else {}


def large(place: Place, path: Path, players: int) -> Path:
    """A file of so many players, most of whom never played here."""
    place.api.define(periods=[{"kind": "alltime"}])
    for number in range(3):
        place.api.submit(f"p-{number}", number)
    whole = exported(place, path).read_bytes()
    lines = whole.splitlines(keepends=True)[:-1]
    (at,) = [number for number, line in enumerate(lines) if line.startswith(b'{"table":"players"')]
    columns = json.loads(lines[at])["columns"]
    row = dict.fromkeys(columns) | {"created_ms": 1, "submissions": 0, "display_name": "x"}
    rows = [json.dumps(list((row | {"player": f"q-{number}"}).values())).encode() + b"\n" for number in range(players)]
    content = b"".join([*lines[: at + 1], *rows, *lines[at + 1 :]])
    path.write_bytes(content + ending(content))
    return path


@pytest.mark.any_store
@pytest.mark.parametrize("players", [18_000, pytest.param(60_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_killed_again_and_again_it_goes_on_and_nobody_is_let_in_before(
    two: list[Place], raw: redis.Redis, tmp_path: Path, players: int
) -> None:
    here, there = two
    path = large(here, tmp_path / "all.jsonl", players)
    reached = []
    for least in (1, players // 6, players // 2):
        with there.start("import", "installation", str(path)) as process:
            eventually(
                lambda least=least, process=process: (
                    progress_of(there).get("line", -1) >= least or process.poll() is not None
                ),
                "it has come so far",
            )
            os.kill(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        reached.append(progress_of(there)["line"])
        # Nothing is claimed, rebuilt or answered from a part of it.
        with pytest.raises(StoreLostError, match="an import of a whole installation has not come to its end here"):
            there.lb.claim.check()
        assert "run `leaderboard import installation FILE` again" in there.run("rebuild", status=1)
        with pytest.raises(RebuildError):
            rebuild(there.lb)
        assert needed(there.lb) is None
        assert there.api.submit("p-1", 5, expect=503)["code"] == "store_unavailable"
        assert raw.keys("other:*") == []
    assert reached == sorted(reached)
    # Killed while the store is being made.
    with there.start("import", "installation", str(path)) as process:
        eventually(lambda: raw.exists("other:{0}:rebuild") or process.poll() is not None, "the store is being made")
        os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert progress_of(there)["done"] is True
    assert "gone on behind line" in there.run("import", "installation", str(path))
    assert progress_of(there) == {}
    assert raw.hlen("other:{0}:names") == players
    assert here.shown() == there.shown()
    there.api.submit("p-1", 5)
    there.drain()


def test_what_is_begun_to_use_the_store_meanwhile_is_noticed(
    two_on_sqlite: list[Place], raw: redis.Redis, tmp_path: Path
) -> None:
    here, there = two_on_sqlite
    path = large(here, tmp_path / "all.jsonl", 6_000)

    def claim(stage: str, done: int, total: int) -> None:
        # It looked just before the import began, and claims what it took for nobody's.
        if stage == "archive":
            raw.hset("other:{0}:store", mapping={"generation": "g", "archived": 0, "token": "g"})

    with pytest.raises(ImportRefusedError, match="something began to use the store"):
        import_installation(there.lb, path, progress=claim)
    raw.delete("other:{0}:store")
    import_installation(there.lb, path)
    assert here.shown() == there.shown()
