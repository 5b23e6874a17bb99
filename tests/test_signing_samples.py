"""docs/signing.md and its samples: what they say is what the service takes."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import urllib.error
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis

from leaderboard.signatures import sign, string_to_sign
from tests.client import Client
from tests.live import Live
from tests.signing import signature

DOCS = Path(__file__).parents[1] / "docs"
SAMPLES = DOCS / "samples"


@pytest.fixture(scope="module")
def page() -> str:
    return (DOCS / "signing.md").read_text("utf-8")


@pytest.fixture(scope="module")
def vector(page: str) -> dict[str, str]:
    """The test vector, by what stands before each of its lines."""
    text = page.partition("### Test vector\n```\n")[2].partition("```")[0]
    return dict(re.split(r" {2,}", line, maxsplit=1) for line in text.splitlines() if "  " in line) | {
        "SHA-256": re.findall(r"^SHA-256 of it +(\S+)$", text, re.MULTILINE)[0]
    }


@pytest.fixture(scope="module")
def header(vector: dict[str, str]) -> str:
    return f"t={vector['t']},v1={vector['v1']}"


@pytest.fixture(scope="module")
def python_sample() -> Any:
    spec = importlib.util.spec_from_file_location("signing_sample", SAMPLES / "signing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given(vector: dict[str, str]) -> tuple[str, str, str, str, str, str]:
    """In the order in which every sample takes them."""
    names = ("signing_key", "t", "method", "path", "Idempotency-Key", "body")
    return tuple(vector[name] for name in names)  # type: ignore[return-value]


def test_the_service_makes_of_the_vector_what_the_page_says(page: str, vector: dict[str, str]) -> None:
    key, time, method, path, idempotency_key, body = given(vector)
    assert len(key) == 64
    assert sha256(body.encode()).hexdigest() == vector["SHA-256"]
    message = string_to_sign(time, method, path.encode(), idempotency_key, body.encode())
    assert sign(key, message).hex() == vector["v1"]
    assert signature(key, time, method, path, idempotency_key, body.encode()) == vector["v1"]
    assert f"Leaderboard-Signature: t={time},v1={vector['v1']}" in page


def test_the_python_sample_signs_as_the_page_says(vector: dict[str, str], header: str, python_sample: Any) -> None:
    key, time, method, path, idempotency_key, body = given(vector)
    assert python_sample.signature_header(key, int(time), method, path, idempotency_key, body.encode()) == header


def javascript(program: str, *arguments: str) -> Any:
    """What a program that has the sample's functions prints, as JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.strip().lstrip("v").partition(".")[0]) < 20:
        pytest.skip(f"node is {version.strip()}, and the sample needs 20 or later")
    source = f'import {{ signatureHeader, submit }} from "{(SAMPLES / "signing.mjs").as_uri()}";\n{program}'
    done = subprocess.run(
        [node, "--input-type=module", "-", *arguments], input=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_javascript_sample_signs_as_the_page_says(vector: dict[str, str], header: str) -> None:
    program = "console.log(JSON.stringify(await signatureHeader(...process.argv.slice(2))));"
    assert javascript(program, *given(vector)) == header


@pytest.mark.parametrize("name", ["Signing.cs", "signing.gd"])
def test_the_others_name_what_is_signed_in_its_order(name: str) -> None:
    text = (SAMPLES / name).read_text("utf-8").lower().replace("_", "")
    assert re.search(r"\b(time|str\(ats\)), method, target, idempotencykey, body", text)
    assert "leaderboard-signature" in text


def test_the_page_links_every_sample(page: str) -> None:
    assert set(re.findall(r"\(samples/([^)]+)\)", page)) == {file.name for file in SAMPLES.iterdir() if file.is_file()}


def test_what_the_samples_send_counts(raw: redis.Redis, store_url: str, python_sample: Any) -> None:
    with Live(store_url, workers=1) as live:
        api: Client = live.ready().api
        api.define("main", policy="sum", periods=[{"kind": "alltime"}], rules={"signed": True})
        opened = api.server.post("/v1/players/alice/sessions", expect=201)
        session = (live.url, opened["token"], opened["signing_key"], "main")
        assert python_sample.submit(*session, 10, "python")["outcome"] == "applied"
        with pytest.raises(urllib.error.HTTPError) as refusal:
            python_sample.submit(live.url, opened["token"], "another key", "main", 10, "wrong")
        assert json.load(refusal.value)["code"] == "signature_invalid"
        refusal.value.close()
        total = 10
        if shutil.which("node"):
            program = "const [url, token, key, board, score, id] = process.argv.slice(2);"
            program += "console.log(JSON.stringify(await submit(url, token, key, board, Number(score), id)));"
            assert javascript(program, *session, "5", "javascript")["outcome"] == "applied"
            total = 15
        assert api.table() == [(1, "alice", total)]
