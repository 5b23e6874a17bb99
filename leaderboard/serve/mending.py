"""What `leaderboard serve` does about an embedded store that is not what it was when it stopped."""

from __future__ import annotations

import click

from leaderboard.cli.progress import progress_bar
from leaderboard.installation import open_installation
from leaderboard.rebuild import needed, rebuild
from leaderboard.settings import Settings


def mend(settings: Settings) -> None:
    """Rebuild the store from the archive where the store is empty or behind: its files were lost, or a power cut took
    their end, which the archive has.

    Nobody else uses the store yet, so nothing is lost by that. Raises SettingError and the like where it cannot be
    done; what is not so plain is left for a person, and the worker says what is the matter.
    """
    lb = open_installation(settings)
    try:
        if needed(lb) is None:
            return
        click.echo("leaderboard: the store lacks what the archive has; making it anew from the archive", err=True)
        with progress_bar() as progress:
            rebuilt = rebuild(lb, replacing=True, progress=progress)
        click.echo(f"leaderboard: {rebuilt.standings} standings with {rebuilt.entries} entries are back", err=True)
    finally:
        lb.close()
