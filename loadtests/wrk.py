"""Running wrk (Debian has it) with requests that are written down before."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("wrk.lua")

#: Stands for a score in a body; wrk.lua puts a higher one in its place every time.
SCORE = "@@@@@@@@@"


class WrkError(Exception):
    """wrk is not there, or not every request was answered well."""


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    token: str = ""
    #: JSON.
    body: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    per_s: float
    p50_ms: float
    p99_ms: float


def find_wrk() -> str:
    path = shutil.which("wrk")
    if path is None:
        raise WrkError("wrk is not installed; on Debian and Ubuntu: apt-get install wrk")
    return path


def write_requests(path: Path, requests: Iterable[Request]) -> Path:
    lines = (f"{request.method}\t{request.path}\t{request.token}\t{request.body}\n" for request in requests)
    path.write_text("".join(lines))
    return path


def measure(url: str, requests: Path, *, seconds: int, connections: int) -> Measured:
    """Send them over and over for that long; WrkError when a single one was not answered with 2xx."""
    command = [find_wrk(), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(SCRIPT), url]
    run = subprocess.run([*command, "--", str(requests)], capture_output=True, text=True, check=False)
    try:
        found = json.loads(run.stdout.rstrip().splitlines()[-1])
    except (IndexError, ValueError):
        raise WrkError(f"wrk failed on {requests.name}: {run.stdout}{run.stderr}") from None
    if found["lost"] or found["refused"] or not found["requests"]:
        raise WrkError(f"{requests.name}: of {found['requests']} {found['refused']} refused, {found['lost']} lost")
    return Measured(found["requests"] / found["duration_us"] * 1e6, found["p50_us"] / 1000, found["p99_us"] / 1000)
