"""Who uses the service: players, game servers that send batches, and an admin who resets the season."""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from locust import FastHttpUser, between, constant_pacing, task
from locust.contrib.fasthttp import ResponseContextManager
from locust.exception import StopUser

from loadtests import checks

#: What the board takes: the rate limit is the default one, which these players keep.
DEFINITION: dict[str, Any] = {
    "title": "Load test",
    "periods": [{"kind": "season"}, {"kind": "weekly"}],
    "rules": {"rate": {"burst": 10, "per_s": 1}},
}

AROUND, TOP, PAGE = 11, 50, 25
PAGES = 3
FRIENDS = 3
BATCH = (100, 200)
#: Game servers submit for so many players of their own.
SERVED = 2000

Check = Callable[[Any], str | None]


class Caller(FastHttpUser):
    """Sends requests; one whose answer is not as it should be counts as failed, with the reason."""

    abstract = True
    host = "http://127.0.0.1:8000"
    token = ""

    @property
    def board(self) -> str:
        return str(self.environment.parsed_options.board)

    def call(
        self,
        name: str,
        method: str,
        path: str,
        check: Check = lambda _: None,
        *,
        expect: tuple[int, ...] = (200,),
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """Return the answer's JSON (None for one without a body); None also where it was not as it should be."""
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        with self.client.request(method, path, name=name, json=body, headers=sent, catch_response=True) as response:
            return _judge(response, expect, check)

    def submit_batch(self, name: str, items: list[dict[str, Any]], key: str, check: Check) -> Any:
        headers = {"Idempotency-Key": key}
        return self.call(name, "POST", "/v1/submissions/batch", check, body={"submissions": items}, headers=headers)


def _judge(response: ResponseContextManager, expect: tuple[int, ...], check: Check) -> Any:
    if response.status_code not in expect:
        # 0: no answer at all, which locust words better.
        if response.status_code:
            response.failure(f"{response.status_code}: {(response.text or '')[:300]}")
        return None
    if not response.content:
        response.success()
        return None
    answer = response.json()
    answer["headers"] = response.headers
    # 304 and expected refusals have nothing to check.
    reason = check(answer) if response.status_code in (200, 201) else None
    if reason is None:
        response.success()
        return answer
    response.failure(reason)
    return None


class Player(Caller):
    """Signs in by device, mostly improves a little, and looks where that led."""

    # A submission every 2 s or so: below the limit of one in a second, with 10 at once.
    wait_time = between(0.6, 2.0)

    #: Of all players of this process: who invites whom.
    everybody: list[str] = []  # noqa: RUF012 - shared on purpose

    def on_start(self) -> None:
        device = secrets.token_urlsafe(32)
        body = {"device_id": device, "display_name": f"Player {device[:6]}"}
        answer = self.call("sign in", "POST", "/v1/sessions", body=body, expect=(201,))
        if answer is None:
            # A player without a session has nothing to do here; the failure is counted.
            raise StopUser
        self.token, self.id = answer["token"], answer["player"]["id"]
        self.bests: dict[str, int] = {}
        self.season = ""
        self.score = random.randrange(500, 2000)
        self.seen: dict[str, Any] | None = None
        self.everybody.append(self.id)
        self.submit()
        self.befriend()
        self.read_on()

    @task(10)
    def submit(self) -> None:
        # Now and then a bad game, which must change nothing.
        score = self.score + random.randrange(1, 40) if random.random() < 0.85 else self.score // 2
        self.score = max(self.score, score)
        headers = {"Idempotency-Key": str(uuid4())} if random.random() < 0.5 else {}
        answer = self._submit("submit", score, headers)
        if answer is not None and headers and random.random() < 0.2:
            self._submit("submit again", score, headers, first=answer)

    def _submit(self, name: str, score: int, headers: dict[str, str], first: Any = None) -> Any:
        def check(answer: Any) -> str | None:
            for standing in answer["standings"]:
                period_id = standing["period_id"]
                self.bests[period_id] = max(self.bests.get(period_id, score), score)
                if standing["period"] == "season":
                    self.season = period_id
            if first is not None:
                return checks.repeat(first, answer, answer["headers"])
            return checks.submission(answer, self.id, self.bests)

        path = f"/v1/boards/{self.board}/submissions"
        return self.call(name, "POST", path, check, body={"score": score}, headers=headers)

    @task(4)
    def look_around(self) -> None:
        answer = self.call(
            "around me",
            "GET",
            f"/v1/boards/{self.board}/standings/me/around?limit={AROUND}",
            lambda answer: checks.around(answer, self.id, self.bests, AROUND),
            expect=(200, 404),
        )
        if answer is not None and answer.get("status") == 404:
            self.expect_new_season(answer)

    def expect_new_season(self, problem: Any) -> None:
        """A player has no entry only when the season it last submitted in is over."""

        def check(answer: Any) -> str | None:
            season = next(period["period_id"] for period in answer["current"] if period["period"] == "season")
            if problem["code"] != "entry_not_found" or int(season[1:]) <= int(self.season[1:]):
                return f"{problem['code']} in {season}, with an entry in {self.season}"
            return None

        self.call("board", "GET", f"/v1/boards/{self.board}", check)

    @task(4)
    def read_top(self) -> None:
        headers = {"If-None-Match": self.seen["ETag"]} if self.seen and random.random() < 0.5 else {}
        answer = self.call(
            "top",
            "GET",
            f"/v1/boards/{self.board}/standings?limit={TOP}",
            lambda answer: checks.top(answer, TOP),
            expect=(200, 304) if headers else (200,),
            headers=headers,
        )
        if answer is not None:
            self.seen = answer["headers"]

    @task(1)
    def read_on(self) -> None:
        path = f"/v1/boards/{self.board}/standings?limit={PAGE}"
        page = self.call("page", "GET", path, lambda answer: checks.top(answer, PAGE))
        for _ in range(PAGES):
            if page is None or page["next_cursor"] is None:
                return
            before = page
            page = self.call(
                "next page",
                "GET",
                f"{path}&cursor={before['next_cursor']}",
                lambda answer, before=before: checks.next_page(before, answer, PAGE),
            )

    @task(1)
    def befriend(self) -> None:
        """Accept whoever asked, and ask somebody while there are few friends."""
        asked = self.call("invitations", "GET", "/v1/players/me/friends?state=invitation")
        for friend in (asked or {"friends": []})["friends"][:FRIENDS]:
            self._put_friend("accept", friend["player"]["id"], "friends")
        other = random.choice(self.everybody)
        if other != self.id:
            # Asking twice, or asking who has asked already, is harmless.
            self._put_friend("invite", other, "invited", "friends")

    def _put_friend(self, name: str, other: str, *states: str) -> None:
        def check(answer: Any) -> str | None:
            return None if answer["state"] in states else f"the state is {answer['state']}"

        self.call(name, "PUT", f"/v1/players/me/friends/{other}", check)

    @task(3)
    def read_friends(self) -> None:
        self.call(
            "friends standings",
            "GET",
            f"/v1/boards/{self.board}/standings/me/friends?limit=200",
            lambda answer: checks.friends(answer, self.id, self.bests.get(answer["period_id"])),
        )


class GameServer(Caller):
    """Sends what its players scored, some hundred at once; after a lost answer it would send the same again."""

    fixed_count = 2
    wait_time = between(0.5, 1.5)

    def on_start(self) -> None:
        self.token = os.environ["LEADERBOARD_SERVER_KEY"]
        name = secrets.token_hex(3)
        self.served = {f"{name}-{number}": random.randrange(500, 2000) for number in range(SERVED)}

    @task
    def send(self) -> None:
        players = random.sample(sorted(self.served), random.randint(*BATCH))
        for player in players:
            self.served[player] += random.randrange(-20, 40)
        items = [{"board": self.board, "player": player, "score": self.served[player]} for player in players]
        key = str(uuid4())
        first = self.submit_batch("batch", items, key, lambda answer: checks.batch(answer, len(items)))
        if first is not None and random.random() < 0.2:
            self.submit_batch("batch again", items, key, lambda answer: checks.same_batch(first, answer))


class Admin(Caller):
    """Resets the season now and then, and watches that what is closed does not change any more."""

    fixed_count = 1

    def wait_time(self) -> float:
        return constant_pacing(self.environment.parsed_options.reset_every)(self)

    def on_start(self) -> None:
        self.token = os.environ["LEADERBOARD_ADMIN_KEY"]
        self.closed: dict[str, Any] = {}
        # The first season gets some entries before it ends.
        time.sleep(min(self.environment.parsed_options.reset_every, 3.0))

    @task
    def reset(self) -> None:
        board = self.call("definition", "GET", f"/v1/admin/boards/{self.board}")
        if board is None:
            return
        season = next(period["period_id"] for period in board["current"] if period["period"] == "season")
        following = f"s{int(season[1:]) + 1}"

        def check(answer: Any) -> str | None:
            done = (answer["closed"], answer["opened"])
            return None if done == (season, following) else f"closed {done[0]}, opened {done[1]}"

        headers = {"Idempotency-Key": str(uuid4())}
        path = f"/v1/admin/boards/{self.board}/reset"
        if self.call("reset", "POST", path, check, body={"season": season}, headers=headers) is None:
            return
        for period_id in [*self.closed, season]:
            self._read_closed(period_id)

    def _read_closed(self, period_id: str) -> None:
        def check(answer: Any) -> str | None:
            first = self.closed.setdefault(period_id, (answer["total"], answer["entries"]))
            if (answer["total"], answer["entries"]) != first:
                return f"{period_id} is closed and changed all the same"
            return checks.top(answer, TOP)

        path = f"/v1/boards/{self.board}/standings?period_id={period_id}&limit={TOP}"
        self.call("closed season", "GET", path, check)
