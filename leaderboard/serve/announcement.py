"""What `leaderboard serve` prints once it answers."""

from __future__ import annotations

import shlex
from pathlib import Path

from leaderboard.serve.first_start import ADMIN_KEY, SERVER_KEY, FirstKeys


def announcement(
    *, url: str, data_dir: Path, engine: str, archive: str, keys: FirstKeys, demo: bool, show_secrets: bool
) -> str:
    """Return where the service listens, what it runs on, and lines to paste into a shell."""
    facts = [
        f"leaderboard listens on {url}",
        f"  data    {data_dir}",
        f"  store   {engine}",
        f"  archive {archive}",
        f"  docs    {url}/docs",
    ]
    if demo:
        facts.append(f"  demo    {url}/v1/boards/demo/standings")
    return "\n".join([*facts, *_about_keys(keys, show_secrets), "", *_first_steps(url, keys)])


def _about_keys(keys: FirstKeys, show_secrets: bool) -> list[str]:
    lines = []
    if keys.kept:
        lines.append(f"  keys    {keys.path}{' (new)' if keys.made else ''}")
    if show_secrets:
        # Only those made now: what was seen once need not scroll by on every start.
        lines += [f"          {name}={secret}" for name, secret in keys.made.items()]
    if keys.missing:
        lines.append(f"  no key  for {' and '.join(keys.missing)}; `leaderboard keys create` makes one")
    return lines


def _first_steps(url: str, keys: FirstKeys) -> list[str]:
    json = "-H 'Content-Type: application/json'"
    source = [f". {shlex.quote(str(keys.path))}"] if keys.kept else []
    return [
        "To begin: define a board, submit a score, read the standings",
        "",
        *source,
        f'curl -X PUT {url}/v1/admin/boards/main -H "Authorization: Bearer ${ADMIN_KEY}" \\',
        f"""  {json} -d '{{"title":"Main"}}'""",
        f'curl {url}/v1/boards/main/submissions -H "Authorization: Bearer ${SERVER_KEY}" \\',
        f"""  {json} -d '{{"player":"alice","score":1200}}'""",
        f"curl {url}/v1/boards/main/standings",
        "",
        "Ctrl-C stops it; the data stays.",
    ]
