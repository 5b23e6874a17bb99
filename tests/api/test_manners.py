"""The manners of HTTP: methods, HEAD, ETag, request ids, CORS, odd headers, and what no WSGI client can send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
import redis

from tests.calls import STANDINGS, SUBMISSIONS, refused, send, submission, unchanged
from tests.client import ADMIN_KEY, SERVER_KEY, Client
from tests.live import Live

pytestmark = pytest.mark.any_store

JSON = {"Authorization": f"Bearer {SERVER_KEY}", "Content-Type": "application/json"}


@pytest.fixture
def board(api: Client) -> Client:
    api.define()
    api.submit("alice", 10)
    return api


@pytest.fixture(scope="module")
def live(store_url: str) -> Iterator[Live]:
    with Live(store_url) as live:
        yield live


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/", "/v2/boards", "//v1/boards", "/v1/boards/", "/v1/boards/main/x", "/x"]
)
def test_a_path_where_nothing_is_answers_a_problem(api: Client, path: str) -> None:
    problem = refused(api.call("GET", path), 404, "not_found")
    assert problem["title"]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", SUBMISSIONS, "OPTIONS, POST"),
        ("HEAD", SUBMISSIONS, "OPTIONS, POST"),
        ("PUT", SUBMISSIONS, "OPTIONS, POST"),
        ("POST", "/v1/boards", "GET, HEAD, OPTIONS"),
        ("DELETE", "/v1/boards/main", "GET, HEAD, OPTIONS"),
        ("PATCH", "/v1/admin/boards/main", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("TRACE", "/v1/boards", "GET, HEAD, OPTIONS"),
        ("BREW", "/v1/boards", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_method_that_a_path_does_not_take_is_told_which_it_takes(
    api: Client, method: str, path: str, allow: str
) -> None:
    answer = api.call(method, path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == allow
    if method != "HEAD":
        refused(answer, 405, "method_not_allowed")


def test_head_is_get_without_the_body(board: Client) -> None:
    for path in (STANDINGS, "/v1/boards", "/v1/boards/main"):
        head, get = board.call("HEAD", path), board.call("GET", path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.headers["ETag"] == get.headers["ETag"]
        assert head.headers["Content-Length"] == str(len(get.data))


def test_a_page_that_is_unchanged_is_not_sent_again(board: Client) -> None:
    first = board.call("GET", STANDINGS)
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = board.call("GET", STANDINGS, headers={"If-None-Match": given})
        assert (again.status_code, again.data) == (304, b""), given
        assert again.headers["ETag"] == tag
        assert again.headers["Access-Control-Allow-Origin"] == "*"
    assert board.call("GET", STANDINGS, headers={"If-None-Match": '"other"'}).status_code == 200
    board.submit("alice", 11)
    changed = board.call("GET", STANDINGS, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.parametrize("revision", ["x", "*", "-1", "1 2", "9" * 30])
def test_an_if_match_that_names_no_revision_is_refused(board: Client, raw: redis.Redis, revision: str) -> None:
    with unchanged(raw):
        answer = send(board, "PUT", "/v1/admin/boards/main", '{"title":"x"}', ADMIN_KEY, headers={"If-Match": revision})
        refused(answer, 400, "malformed_request")


@pytest.mark.parametrize(
    ("given", "echoed"), [("abc-1.2_X", True), ("x" * 64, True), ("x" * 65, False), ("a b", False)]
)
def test_every_answer_names_its_request(board: Client, given: str, echoed: bool) -> None:
    for path in (STANDINGS, "/nowhere", "/v1/admin/keys"):
        name = board.call("GET", path, headers={"X-Request-Id": given}).headers["X-Request-Id"]
        assert (name == given) is echoed
        assert name


def test_requests_without_a_name_get_different_ones(api: Client) -> None:
    assert api.call("GET", "/livez").headers["X-Request-Id"] != api.call("GET", "/livez").headers["X-Request-Id"]


def test_other_origins_may_call_everything_but_the_admin_calls(board: Client) -> None:
    origin = {"Origin": "https://game.example"}
    for method, path in (("GET", STANDINGS), ("GET", "/nowhere"), ("POST", SUBMISSIONS), ("GET", "/v1/players/nobody")):
        answer = board.call(method, path, headers=origin)
        assert answer.headers["Access-Control-Allow-Origin"] == "*", path
        assert "Access-Control-Allow-Credentials" not in answer.headers
        exposed = {name.strip().lower() for name in answer.headers["Access-Control-Expose-Headers"].split(",")}
        assert {
            "etag", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed", "x-request-id"
        } <= exposed  # fmt: skip
    for caller, path in (
        (board, "/v1/admin/keys"),
        (board.admin, "/v1/admin/keys"),
        (board.admin, "/v1/admin/nowhere"),
    ):
        answer = caller.call("GET", path, headers=origin)
        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")], path


def test_a_browser_is_told_beforehand_what_it_may_send(board: Client) -> None:
    asked = {
        "Origin": "https://game.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, idempotency-key",
    }
    answer = board.call("OPTIONS", SUBMISSIONS, headers=asked)
    assert answer.status_code == 200
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key"} <= allowed
    admin = board.call("OPTIONS", "/v1/admin/keys", headers=asked)
    assert not [name for name, _ in admin.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": "\x80\xff" * 100},
        {"If-Match": '"' * 500},
        {"Accept": "application/xml;q=x"},
        {"Accept-Encoding": "gzip;q=nope, *"},
        {"Range": "bytes=0-0,5-"},
        {"If-Modified-Since": "yesterday"},
        {"Cookie": "a=" + "\xff" * 100},
        {"X-Forwarded-For": "::::, x"},
        {"Content-Type": "application/json; charset=" + "x" * 1000},
        {"Content-Length": "-1"},
        {"Content-Length": "x"},
        {"Authorization": "\xff"},
        {"Origin": "\xff"},
        {"X-Request-Id": "\xff"},
        {"Idempotency-Key": "\xff"},
        {"Host": "a b"},
    ],
    ids=lambda headers: str(headers)[:40],
)
def test_odd_headers_are_no_failure_of_ours(board: Client, headers: dict[str, str]) -> None:
    for method, path in (("GET", STANDINGS), ("POST", SUBMISSIONS)):
        answer = board.http.open(path, method=method, headers=headers)
        assert answer.status_code < 500, answer.text


@pytest.mark.parametrize("credential", ["lb1.alice.", "lbk_", ""])
def test_a_credential_of_10_kb_is_refused_as_any_other(live: Live, credential: str) -> None:
    answer = Client(live.api.http, credential + "x" * 10_240).call("GET", "/v1/players/alice")
    refused(answer, 401, "unauthenticated")


def test_a_body_over_the_limit_is_refused_with_and_without_its_length(live: Live, raw: redis.Redis) -> None:
    live.api.define()
    body = submission(metadata='{"a":"' + "x" * 20_000 + '"}').encode()
    # Its first 16 KiB are a submission that could be read.
    padded = submission().encode() + b" " * 20_000

    def in_chunks(whole: bytes) -> Iterator[bytes]:
        for at in range(0, len(whole), 1000):
            yield whole[at : at + 1000]

    with httpx.Client(base_url=live.url, headers=JSON, trust_env=False) as client:
        for content in (body, padded, in_chunks(body), in_chunks(padded)):
            with unchanged(raw):
                answer = client.post(SUBMISSIONS, content=content)
                assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
            # What was not read of the body is not taken for the next request.
            assert client.get("/livez").status_code == 200
    assert live.api.submit("alice", 1)["outcome"] == "applied"


def test_a_body_in_chunks_within_the_limit_counts(live: Live, raw: redis.Redis) -> None:
    live.api.define()
    content = iter([b'{"player":"alice",', b'"score":7}'])
    answer = httpx.post(live.url + SUBMISSIONS, content=content, headers=JSON, trust_env=False)
    assert answer.status_code == 200, answer.text
    assert live.api.table() == [(1, "alice", 7)]


@pytest.mark.parametrize(
    "request_head",
    [
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 500 + b"\r\n",
        b"GET /v1/boards?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/boards HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"POST /v1/boards/main/submissions HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/boards HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"nonsense\r\n\r\n",
    ],
    ids=["long header", "many headers", "long path", "bad name", "negative length", "two lengths", "TLS", "nonsense"],
)
def test_what_is_not_http_is_refused_and_the_next_request_is_answered(
    live: Live, raw: redis.Redis, request_head: bytes
) -> None:
    first = b""
    with socket.create_connection(("127.0.0.1", live.port), 10) as connection, suppress(OSError):
        # It may close the connection while we still write.
        connection.sendall(request_head)
        connection.shutdown(socket.SHUT_WR)
        first = connection.recv(100)
    assert first == b"" or first.startswith(b"HTTP/1.1 4"), first
    assert live.status("/livez") == 200
