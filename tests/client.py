"""A small client that the tests speak HTTP with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ADMIN_KEY = "test-admin-key"
SERVER_KEY = "test-server-key"


@dataclass(frozen=True)
class Client:
    """Wraps anything with the interface of Flask's test client."""

    http: Any
    token: str | None = None

    @property
    def admin(self) -> Client:
        return Client(self.http, ADMIN_KEY)

    @property
    def server(self) -> Client:
        return Client(self.http, SERVER_KEY)

    def player(self, player: str) -> Client:
        """Signed in as a player, by a server."""
        return Client(self.http, self.server.post(f"/v1/players/{player}/sessions", expect=201)["token"])

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """The raw response."""
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        return self.http.open(path, method=method, json=body, headers=headers)

    def _expect(self, method: str, path: str, body: Any, expect: int, headers: dict[str, str] | None) -> Any:
        response = self.call(method, path, body, headers)
        assert response.status_code == expect, f"{method} {path}: {response.status_code} {response.text}"
        return response.get_json() if response.data else None

    def get(self, path: str, *, expect: int = 200) -> Any:
        return self._expect("GET", path, None, expect, None)

    def post(self, path: str, body: Any = None, *, expect: int = 200, key: str | None = None) -> Any:
        return self._expect("POST", path, body, expect, {"Idempotency-Key": key} if key else None)

    def put(self, path: str, body: Any = None, *, expect: int = 200) -> Any:
        return self._expect("PUT", path, body, expect, None)

    def patch(self, path: str, body: Any = None, *, expect: int = 200) -> Any:
        return self._expect("PATCH", path, body, expect, None)

    def delete(self, path: str, *, expect: int = 204) -> Any:
        return self._expect("DELETE", path, None, expect, None)

    def define(self, board: str = "main", **definition: Any) -> Any:
        """Define a board, whether or not it is there."""
        response = self.admin.call("PUT", f"/v1/admin/boards/{board}", definition)
        assert response.status_code in (200, 201), response.text
        return response.get_json()

    def submit(self, player: str, score: Any, board: str = "main", *, expect: int = 200, **more: Any) -> Any:
        """Submit as a server."""
        key = more.pop("key", None)
        body = {"player": player, "score": score} | more
        return self.server.post(f"/v1/boards/{board}/submissions", body, expect=expect, key=key)

    def table(self, board: str = "main", query: str = "") -> list[tuple[int, str, Any]]:
        """The standings as (rank, player, score)."""
        page = self.get(f"/v1/boards/{board}/standings?limit=200{query}")
        return [(entry["rank"], entry["player"]["id"], entry["score"]) for entry in page["entries"]]
