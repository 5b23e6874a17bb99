"""The benchmarks of loadtests/ run, and measure something; how much is not looked at here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from loadtests import keeping, memory, trust

pytestmark = pytest.mark.any_store

#: What makes each small.
SMALL: dict[Any, dict[str, Any]] = {
    keeping: {"PLAYERS": 600, "TIMED": 200, "ROUNDS": 1, "WAITING": 300, "LOAD_S": 1.0, "LOAD": 200},
    memory: {"TIMED": 200},
    trust: {"PLAYERS": 200, "TIMED": 200},
}


@pytest.mark.parametrize("benchmark", SMALL, ids=lambda module: module.__name__)
def test_it_measures_what_it_says(benchmark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SMALL[benchmark].items():
        monkeypatch.setattr(benchmark, name, value)
    main: click.Command = benchmark.main
    options = ["--entries", "1000", "--json", str(tmp_path / "report")]
    if any(option.name == "rounds" for option in main.params):
        options += ["--rounds", "1"]
    if store := os.environ.get("LEADERBOARD_TEST_STORE"):
        options += ["--store-binary", store]
    done = CliRunner().invoke(main, options)
    assert done.exit_code == 0, (done.output, done.exception)
    report = json.loads((tmp_path / "report").read_text())
    assert "engine" in report
    measured = [value for value in report.values() if isinstance(value, float)]
    assert len(measured) > 3 or any(isinstance(value, dict) for value in report.values())
    assert all(value >= 0 for value in measured)
