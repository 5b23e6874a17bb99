"""Who plays in the demo: names, skills, and the device ids that make them the same players next time."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random

NAMES = (
    "Amber Fox", "Nils", "pixelpaula", "Okonkwo", "Sir Lags-a-Lot", "Yuki", "mira.k", "Tomasz",
    "Old Badger", "Zeynep", "quietstorm", "Ines", "Captain Teacup", "Bjørn", "lowping_leo", "Farida",
    "Moss", "Hugo", "nightowl_92", "Anaïs", "Rook", "Chidi", "Turnip Knight", "Sanna", "glasscannon",
    "Mateo", "Duskfall", "Priya", "Kettle", "Ewa", "threeleafclover", "Jun", "Baron Biscuit", "Leila",
    "overandout", "Goran", "Wren", "Tariq", "second_wind", "Maëlle", "Pebble", "Ivo", "The Real Dave",
    "Noor", "slowburn", "Katya", "Juniper", "Rafael", "almost_pro", "Linh", "Gravel", "Sofía", "Ten Lives",
    "Emeka", "Marzipan", "Oskar", "late_bloomer", "Hana", "Sparrow", "Dmitri",
)  # fmt: skip


@dataclass(slots=True)
class Player:
    """One simulated player."""

    name: str
    #: The secret it signs in with.
    device_id: str
    #: The score of an ordinary game; it grows with practice.
    skill: float
    #: Given by the service at sign-in.
    id: str = ""
    token: str = ""

    def play(self, dice: Random) -> int:
        """Return the score of one more game: mostly ordinary, now and then a great one."""
        # Practice helps less the better one is already.
        self.skill += 20_000 / self.skill
        return max(1, round(self.skill * dice.lognormvariate(0, 0.35)))


def load_players(path: Path, count: int, dice: Random) -> list[Player]:
    """Return the players of that file, and new ones up to `count`; all new if it cannot be understood."""
    players: list[Player] = []
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        players = [
            Player(str(kept["name"]), str(kept["device_id"]), max(1.0, float(kept["skill"])))
            for kept in json.loads(path.read_text())
        ]
    for number in range(len(players), count):
        name = NAMES[number % len(NAMES)] + ("" if number < len(NAMES) else f" {number // len(NAMES) + 1}")
        # As a game does it: 256 random bits, for whoever knows them is that player.
        players.append(Player(name, secrets.token_urlsafe(32), dice.lognormvariate(7, 0.5)))
    return players[:count]


def save_players(path: Path, players: list[Player]) -> None:
    """Replace the file in one step; only its owner can read it, as it holds the players' secrets."""
    kept = [{"name": player.name, "device_id": player.device_id, "skill": round(player.skill, 1)} for player in players]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w") as file:
        json.dump(kept, file, ensure_ascii=False, indent=1)
    Path(temporary).replace(path)
