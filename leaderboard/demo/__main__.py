"""Simulated players, over HTTP like any game: `python -m leaderboard.demo --url http://127.0.0.1:8000`.

They sign in by device, make friends and then keep playing at a gentle pace until SIGTERM. The board is made
with the admin key in LEADERBOARD_ADMIN_KEY, unless it is there already.
"""

from __future__ import annotations

import signal
import time
import uuid
from pathlib import Path
from random import Random
from typing import Any

import click
import httpx

from leaderboard.demo.players import Player, load_players, save_players
from leaderboard.settings import load_settings

BOARD = "demo"
DEFINITION = {
    "title": "Demo",
    "policy": "best",
    "periods": [{"kind": "season"}, {"kind": "weekly"}, {"kind": "daily"}],
}

#: Of all turns, this share also looks at the neighbours, and this one at the top.
SHARE_AROUND = 0.3
SHARE_TOP = 0.1
#: Skills are written down once in so many turns; the players' secrets were written before their first
#: sign-in.
SAVE_EVERY = 200
#: The longest that a Retry-After keeps us waiting; also the pause when the service is away.
LONGEST_WAIT_S = 30.0
AWAY_WAIT_S = 1.0


class Demo:
    """The players, and how they call the service."""

    def __init__(self, client: httpx.Client, players: list[Player], dice: Random) -> None:
        self._client = client
        self._players = players
        self._dice = dice

    def define_board(self, admin_key: str | None) -> None:
        """Define the board if it is missing; ClickException when that needs a key that we do not have."""
        path = f"/v1/admin/boards/{BOARD}"
        if self._call("GET", f"/v1/boards/{BOARD}").status_code != 404:
            return
        answer = self._call("PUT", path, token=admin_key or "", json=DEFINITION)
        if answer.is_error:
            raise click.ClickException(f"the demo board cannot be defined: {answer.text}")

    def sign_in(self, player: Player) -> bool:
        """Give the player its id and a new token; return whether it is new to the service."""
        body = {"device_id": player.device_id, "display_name": player.name}
        answer = self._call("POST", "/v1/sessions", json=body).raise_for_status().json()
        player.id, player.token = answer["player"]["id"], answer["token"]
        return bool(answer["created"])

    def sign_in_all(self) -> None:
        """Sign everybody in; who is new becomes friends with a neighbour, and some with one further away."""
        new = [number for number, player in enumerate(self._players) if self.sign_in(player)]
        for number in new:
            for distance in (1, 7) if number % 3 == 0 else (1,):
                self._befriend(self._players[number], self._players[(number + distance) % len(self._players)])

    def play(self) -> None:
        """One game of somebody, who then may look at the standings."""
        player = self._dice.choice(self._players)
        # The key makes a repeat after a lost answer harmless.
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        path = f"/v1/boards/{BOARD}"
        score = {"score": player.play(self._dice)}
        answer = self._call("POST", f"{path}/submissions", token=player.token, json=score, headers=headers)
        if answer.status_code == 401:
            # The store was emptied, or the session ended.
            self.sign_in(player)
        if self._dice.random() < SHARE_AROUND:
            self._call("GET", f"{path}/standings/me/around", token=player.token)
        if self._dice.random() < SHARE_TOP:
            self._call("GET", f"{path}/standings", token=player.token, params={"limit": 10})

    def _befriend(self, one: Player, other: Player) -> None:
        if one is not other:
            for me, friend in ((one, other), (other, one)):
                self._call("PUT", f"/v1/players/me/friends/{friend.id}", token=me.token)

    def _call(
        self, method: str, path: str, *, token: str = "", headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Return the answer, after waiting for as long as the service is away, overloaded or asks to wait."""
        sent = {**(headers or {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        while True:
            try:
                answer = self._client.request(method, path, headers=sent, **more)
            except httpx.TransportError:
                time.sleep(AWAY_WAIT_S)
                continue
            if answer.status_code not in (429, 502, 503, 504):
                return answer
            time.sleep(_wait_s(answer))


def _wait_s(answer: httpx.Response) -> float:
    asked = answer.headers.get("Retry-After", "")
    return min(float(asked), LONGEST_WAIT_S) if asked.isdigit() else AWAY_WAIT_S


def _end(_number: int, _frame: object) -> None:
    # Nothing needs an orderly end: calls are safe to cut off, and the file is replaced in one step.
    raise SystemExit(0)


@click.command()
@click.option("--url", default="http://127.0.0.1:8000", show_default=True)
@click.option("--players", "count", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.option("--per-second", type=click.FloatRange(0.01, 100), default=3.0, show_default=True, help="Games.")
def main(url: str, count: int, per_second: float) -> None:
    """Simulated players for a leaderboard service."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    settings = load_settings()
    dice = Random()  # noqa: S311 - a game, not a secret
    path: Path = settings.data_dir / "demo.json"
    players = load_players(path, count, dice)
    # Before anybody signs in: a player whose secret is lost would stay on the board for ever.
    save_players(path, players)
    # Without the proxies of the environment, which seldom know the way to this machine itself.
    with httpx.Client(base_url=url, timeout=10.0, trust_env=False) as client:
        demo = Demo(client, players, dice)
        demo.define_board(settings.admin_key)
        demo.sign_in_all()
        turn = 0
        while True:
            demo.play()
            turn += 1
            if turn % SAVE_EVERY == 0:
                save_players(path, players)
            time.sleep(dice.expovariate(per_second))


if __name__ == "__main__":
    main()
