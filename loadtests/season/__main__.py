"""The command: a store of its own, a season, a report."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from leaderboard.settings import Settings
from leaderboard.store.embedded import EmbeddedStore
from loadtests.season.report import lines
from loadtests.season.simulation import KINDS, Plan, simulate


@click.command()
@click.option("--players", type=click.IntRange(1), default=2000, show_default=True, help="Honest ones.")
@click.option("--cheaters", type=click.IntRange(0), default=60, show_default=True, help=f"Of {KINDS} kinds.")
@click.option("--days", type=click.IntRange(1, 28), default=28, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--no-rules", is_flag=True, help="On a board without rules, to see what they are there for.")
@click.option("--store-binary", help="A Redis or Valkey server; found as by `leaderboard serve` if absent.")
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the report there too.")
def main(
    players: int, cheaters: int, days: int, seed: int, no_rules: bool, store_binary: str | None, json_path: Path | None
) -> None:
    """What a board's rules make of a season with cheaters."""
    if cheaters % KINDS:
        raise click.BadParameter(f"there are {KINDS} kinds, so give a multiple of that", param_hint="--cheaters")
    with tempfile.TemporaryDirectory(prefix="leaderboard-season-") as folder:
        settings = Settings(data_dir=Path(folder), store_binary=store_binary, store_timeout_s=30.0)
        with EmbeddedStore(settings) as store:
            plan = Plan(players, cheaters // KINDS, days, seed, rules=not no_rules)
            report = simulate(replace(settings, redis_url=store.url), plan)
    for line in lines(report):
        click.echo(line)
    if json_path is not None:
        json_path.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
