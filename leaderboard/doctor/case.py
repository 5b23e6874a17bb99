"""What the doctor looks at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leaderboard.archive.database import Archive
from leaderboard.doctor.sight import Sight
from leaderboard.installation import Installation
from leaderboard.settings import Settings


@dataclass(frozen=True, slots=True)
class Place:
    """An installation, whether or not its store answers."""

    settings: Settings
    archive: Archive

    @property
    def embedded(self) -> bool:
        return self.settings.redis_url is None

    @property
    def store_directory(self) -> Path:
        return self.settings.data_dir / "store"


@dataclass(frozen=True, slots=True)
class Case(Place):
    """An installation whose store answers."""

    sight: Sight
    lb: Installation
