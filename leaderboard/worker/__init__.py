"""What follows the journal: the archive. `leaderboard worker`, and a child of `leaderboard serve`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from leaderboard.installation import open_installation
from leaderboard.settings import Settings
from leaderboard.worker.drain import Drain


def work(settings: Settings, stop: Callable[[], bool]) -> None:
    """Drain the journal until a stop is asked for. Raises SettingError for settings that cannot work."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    lb = open_installation(settings)
    try:
        Drain(lb).run(stop)
    finally:
        lb.close()
