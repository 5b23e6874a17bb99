"""Installations side by side on one store, each in a namespace of its own; and what they hold, to be compared."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import redis
from click.testing import CliRunner
from flask import Flask

from leaderboard import create_app
from leaderboard.cli import main
from leaderboard.installation import Installation
from leaderboard.moving.ids import IdMap
from leaderboard.moving.importing import Import, Options, Source, Summary
from leaderboard.moving.sources import Rows
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from tests.client import Client
from tests.conftest import SetClock
from tests.keeping.contents import Kept, every_key, everything_shown
from tests.oracle import show_instant

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000

#: Nobody moves these: limits, whole answers, what is said in passing.
PASSING = ("rate:", "calls:", "answer:", "worker", "fence", "journal", "import:", "boards:deleted")


@dataclass
class Place:
    """One installation."""

    settings: Settings
    app: Flask
    lb: Installation
    api: Client
    clock: SetClock

    @property
    def namespace(self) -> str:
        return self.settings.namespace

    def drain(self) -> None:
        """Archive all that waits, and leave the archive to the next."""
        drain = Drain(self.lb)
        while drain.step():
            pass
        drain.finish()

    def shown(self) -> dict[str, Any]:
        """Every page of every standings over HTTP, and every definition but for its revision."""
        return {
            name: {key: value for key, value in shown.items() if key != "revision"}
            if isinstance(shown, dict)
            else shown
            for name, shown in everything_shown(self.api).items()
        }

    def keys(self, raw: redis.Redis) -> dict[str, Kept]:
        """Every key that lasts, without its namespace, in a form in which the same looks the same."""
        home, kept = f"{self.namespace}:", {}
        for key, one in every_key(raw, self.namespace).items():
            name = key.removeprefix(home).removeprefix("{0}:")
            if name.startswith(PASSING):
                continue
            if name == "names":
                # JSON of two writers: one escapes a slash and orders members as it likes.
                kept[name] = Kept({player: json.loads(text) for player, text in one.value.items()}, None)
            elif name == "store":
                kept[name] = Kept({field: one.value[field] for field in (b"schema", b"partitions")}, None)
            elif name.startswith("identity:"):
                # What follows the player is of the call that took it.
                kept[name] = Kept(one.value.partition(b";")[0], one.expires_ms)
            elif name.startswith("replay:"):
                # Each record says itself how old it is; the key only has to outlive them.
                assert one.expires_ms is not None
                records = [one.value[at : at + 28] for at in range(0, len(one.value), 28)]
                since_ms = self.clock.at_ms - 2 * DAY_MS
                if lasting := [each for each in records if int.from_bytes(each[17:23], "big") > since_ms]:
                    kept[name] = Kept(lasting, None)
            else:
                kept[name] = one
        return kept

    def variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEADERBOARD_")}
        database = {"LEADERBOARD_DATABASE_URL": self.settings.database_url} if self.settings.database_url else {}
        return {
            **inherited,
            **database,
            "LEADERBOARD_REDIS_URL": str(self.settings.redis_url),
            "LEADERBOARD_NAMESPACE": self.namespace,
            "LEADERBOARD_DATA_DIR": str(self.settings.data_dir),
            # Others use the machine too; a slow answer is no lost one.
            "LEADERBOARD_STORE_TIMEOUT_S": "20",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `leaderboard …`."""
        return subprocess.Popen(
            [sys.executable, "-c", "from leaderboard.cli import main; main()", *arguments],
            env=self.variables(), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *arguments: str, status: int = 0) -> str:
        """Run `leaderboard …` to its end, in this process; return what it says."""
        variables = dict.fromkeys((name for name in os.environ if name.startswith("LEADERBOARD_")), None)
        result = CliRunner().invoke(main, arguments, env=variables | self.variables())
        assert result.exit_code == status, result.output
        assert status == 0 or result.output.startswith("Error: "), result.output
        return result.output


@contextmanager
def places(settings: Settings, clock: SetClock, *namespaces: str) -> Iterator[list[Place]]:
    """Installations in namespaces of their own, each with its own data directory."""
    made = []
    for namespace in namespaces:
        own = replace(settings, namespace=namespace, data_dir=settings.data_dir / namespace, store_timeout_s=20.0)
        app = create_app(own, clock)
        made.append(Place(own, app, app.extensions["leaderboard"], Client(app.test_client()), clock))
    yield made
    for place in made:
        place.lb.close()


def different(before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, tuple[Any, Any]]:
    """Of two tables, the keys whose values differ, with both; a missing one is None."""
    return {
        key: (before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    }


BOARDS: dict[str, dict[str, Any]] = {
    "race": {
        "title": "Race",
        "show_replays": True,
        "ties": "competition",
        "tiebreaks": [{"name": "wins", "order": "desc"}, {"name": "falls", "order": "asc"}],
        "periods": [{"kind": "season", "keep_days": 300}, {"kind": "weekly", "keep_days": 300}],
    },
    "money": {
        "show_replays": True,
        "policy": "sum",
        "ties": "dense",
        "decimals": 2,
        "periods": [{"kind": "alltime"}, {"kind": "daily", "keep_days": 300, "time_of_day": "05:30"}],
        "late_s": 0,
    },
    "golf": {
        "policy": "latest",
        "order": "asc",
        "decimals": 6,
        "periods": [{"kind": "monthly"}, {"kind": "season"}],
        "show_replays": True,
    },
    "empty": {"show_replays": True, "periods": [{"kind": "alltime"}]},
}


class Story:
    """What happens in an installation: some weeks of three boards, with ties, resets, erasures and corrections."""

    def __init__(self, place: Place, seed: int = 1) -> None:
        self._place, self._api, self._random = place, place.api, random.Random(seed)
        self.players = [f"p-{number}" for number in range(40)] + ["A", "a|b", "Z~", "p_0123456789abcdef"]

    def tell(self) -> None:
        api, clock = self._api, self._place.clock
        for board, definition in BOARDS.items():
            api.define(board, **definition)
        for number, player in enumerate(self.players):
            if number % 3:
                api.server.put(f"/v1/players/{player}", {"display_name": f"Nr. {number} “é”"}, expect=201)
        for week in range(3):
            for _ in range(4):
                self._play(60)
                clock.pass_ms(DAY_MS * 7 // 4)
            api.admin.post("/v1/admin/boards/race/reset", {"season": f"s{week + 1}"})
        # Settled entries of these stay, nameless: alone, and among equals of the same instant.
        api.server.delete("/v1/players/p-0")
        for player in ("p-2", "p-3", "p-4"):
            api.server.delete(f"/v1/players/{player}")
        self._play(30)
        api.admin.put("/v1/admin/boards/race/entries/p-5?period=season", {"score": 10**15 - 1, "reason": "lost"})
        api.admin.delete("/v1/admin/boards/money/entries/p-6?period=alltime&reason=cheated", expect=204)
        self._place.drain()

    def _play(self, submissions: int) -> None:
        """Few scores and few instants, so that many are equal in all but the player."""
        now, items, erased = self._place.clock.at_ms, [], self._erased()
        for _ in range(submissions):
            board, player = self._random.choice(("race", "money", "golf")), self._random.choice(self.players)
            item: dict[str, Any] = {"board": board, "player": player}
            if board == "race":
                item |= {
                    "score": self._random.randrange(-2, 3),
                    "tiebreaks": {"wins": self._random.randrange(2), "falls": self._random.randrange(2)},
                    "achieved_at": show_instant(now - self._random.randrange(2) * 1000),
                }
            elif board == "money":
                item["score"] = self._random.choice((0.25, -0.1, 1, 0, 12345678.91))
            else:
                item |= {"score": self._random.choice((1.000001, 2, -0.5)), "achieved_at": show_instant(now - 1000)}
            if self._random.random() < 0.3:
                item["metadata"] = {"n": self._random.randrange(3), "é": ["\\", '"', {}]}
            if "metadata" in item or player.endswith("7"):
                item["replay"] = f'=https://replays.example/{player}?a="é", b;'
            if player not in erased:
                items.append(item)
        answer = self._api.server.post("/v1/submissions/batch", {"submissions": items}, key=f"k{now}")
        assert answer["failed"] == 0, answer

    def _erased(self) -> set[str]:
        return {
            player
            for player in ("p-0", "p-2", "p-3", "p-4")
            if self._api.server.call("GET", f"/v1/players/{player}").status_code == 410
        }


def take(place: Place, source: Source, **options: Any) -> Summary:
    """Import, as the command does."""
    ids = IdMap(options.pop("id_map", None), options.pop("board_map", None))
    name = options.pop("name", source.name)
    progress = options.pop("progress", lambda *_: None)
    return Import(place.lb, source, ids, Options(**options), name=name, progress=progress).run()


def take_rows(place: Place, path: Path, board: str | None = None, **options: Any) -> Summary:
    return take(place, Rows(place.lb, path, board), **options)


def take_text(place: Place, path: Path, text: str, board: str | None = None, **options: Any) -> Summary:
    path.write_text(text)
    return take_rows(place, path, board, **options)
