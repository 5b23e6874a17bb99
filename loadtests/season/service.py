"""The service in this process, a clock that the simulation sets, and devices that speak HTTP with it as games do."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Any

import orjson
from werkzeug.test import TestResponse

from leaderboard import create_app
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain
from loadtests.season.habits import DAY_MS

BOARD = "season"
PATH = f"/v1/boards/{BOARD}/submissions"
ADMIN_KEY = "season-admin-key"
#: 1970 began on a Thursday.
_MONDAY_MS = 4 * DAY_MS
_WEEK_MS = 7 * DAY_MS


class SeasonClock:
    """What the service takes for the time."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def now_ms(self) -> int:
        return self.at_ms


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    replayed: bool = False
    retry_after_s: int = 0


@dataclass(frozen=True, slots=True)
class Captured:
    """A request as it went over the wire."""

    body: bytes
    headers: dict[str, str]


class Service:
    """The application over a store that nobody else uses; the season begins on the Monday after the store's today."""

    def __init__(self, settings: Settings) -> None:
        self.clock = SeasonClock(0)
        self.signed = False
        self._app = create_app(replace(settings, admin_key=ADMIN_KEY, journal_records_most=10**8), self.clock)
        self._http = self._app.test_client(use_cookies=False)
        lb = self._app.extensions["leaderboard"]
        lb.claim.check()
        self._drain = Drain(lb)
        # Keys expire by the store's clock, so the season may not lie in its past.
        now_ms = int(lb.store.read(("TIME",))[0][0]) * 1000
        self.begins_ms = now_ms - (now_ms - _MONDAY_MS) % _WEEK_MS + _WEEK_MS
        self.clock.at_ms = self.begins_ms

    def close(self) -> None:
        self._app.extensions["leaderboard"].close()

    def set_time(self, at_ms: int) -> None:
        """Milliseconds since the season began."""
        self.clock.at_ms = self.begins_ms + at_ms

    @property
    def elapsed_ms(self) -> int:
        """Since the season began."""
        return self.clock.at_ms - self.begins_ms

    def archive_all(self) -> None:
        """What a worker does beside a service that runs in earnest."""
        while self._drain.step():
            pass

    def define_board(self, rules: dict[str, Any]) -> None:
        """Raises RuntimeError when the service does not take the rules."""
        self.signed = bool(rules.get("signed"))
        definition = {"periods": [{"kind": "season"}, {"kind": "weekly"}], "rules": rules}
        self.call("PUT", f"/v1/admin/boards/{BOARD}", definition, token=ADMIN_KEY)

    def sign_in(self, device_id: str, address: str) -> dict[str, Any]:
        """The answer: token, signing_key, player and more."""
        answer: dict[str, Any] = self.call("POST", "/v1/sessions", {"device_id": device_id}, address=address)
        return answer

    def page(self, limit: int, offset: int = 0) -> list[dict[str, Any]]:
        """Entries of the season's standings, as anybody can read them."""
        path = f"/v1/boards/{BOARD}/standings?period=season&limit={limit}&offset={offset}"
        entries: list[dict[str, Any]] = self.call("GET", path)["entries"]
        return entries

    def score_at(self, rank: int) -> int | None:
        entries = self.page(1, rank - 1)
        return int(entries[0]["score"]) if entries else None

    def submit(self, request: Captured, address: str) -> Answer:
        """Send a request as it is. Raises RuntimeError when the service is not well."""
        response = self._send("POST", PATH, request.body, request.headers, address)
        if response.status_code >= 500:
            raise RuntimeError(f"{PATH}: {response.status_code} {response.text}")
        headers = response.headers
        return Answer(
            response.status_code,
            orjson.loads(response.data),
            headers.get("Idempotent-Replayed") == "true",
            int(headers.get("Retry-After", 0)),
        )

    def call(self, method: str, path: str, body: Any = None, *, token: str = "", address: str = "192.0.2.1") -> Any:
        """The answer to a call that must work."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        response = self._send(method, path, None if body is None else orjson.dumps(body), headers, address)
        if response.status_code >= 300:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
        return orjson.loads(response.data)

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str], address: str) -> TestResponse:
        place = {"REMOTE_ADDR": address}
        return self._http.open(path, method=method, data=body, headers=headers, environ_overrides=place)


class Device:
    """One installation of the game: it signs in when first used, and signs what it submits where the board wants it."""

    def __init__(self, service: Service, number: int, secret: str) -> None:
        self._service = service
        self._secret = secret
        self._signed_in: dict[str, Any] | None = None
        self._requests = 0
        self.address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        self.best: tuple[int, Captured] | None = None
        #: Before then the service wants nothing of it.
        self.resumes_ms = 0

    @property
    def player(self) -> str:
        return str(self._session["player"]["id"])

    def request(self, score: int) -> Captured:
        """The request that submits a score now."""
        self._requests += 1
        body, key = orjson.dumps({"score": score}), f"play-{self._requests}"
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self._session['token']}",
            "Idempotency-Key": key,
        }
        if self._service.signed:
            at_s = self._service.clock.now_ms() // 1000
            headers["Leaderboard-Signature"] = sign(self._session["signing_key"], at_s, key, body)
        return Captured(body, headers)

    @property
    def _session(self) -> dict[str, Any]:
        if self._signed_in is None:
            self._signed_in = self._service.sign_in(self._secret, self.address)
        return self._signed_in


def sign(signing_key: str, at_s: int, key: str, body: bytes) -> str:
    """The value of Leaderboard-Signature for a submission to the board with that Idempotency-Key."""
    signed = "\n".join((str(at_s), "POST", PATH, key, hashlib.sha256(body).hexdigest()))
    return f"t={at_s},v1={hmac.new(signing_key.encode(), signed.encode(), hashlib.sha256).hexdigest()}"
