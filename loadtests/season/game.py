"""How well somebody plays: a skill that grows with practice and levels off, and luck in every play."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from random import Random

#: The most that the game can give: the whole track without a mistake, every bonus taken. Nobody gets there.
CEILING = 100_000
#: No play that gives a score is shorter.
SHORTEST_PLAY_S = 60.0

#: The median player once practised, and how far players differ (the standard deviation of the logarithm).
PRACTISED = 9_000
DIFFER = 0.55
#: So many in a thousand are good from the first play.
PRODIGIES_PER_MILLE = 5


@dataclass(frozen=True, slots=True)
class Talent:
    """Skills are logarithms of scores."""

    first: float
    practised: float
    #: After so many plays two thirds of what can be learned are learned.
    pace: float
    #: How much luck is in a play: the standard deviation of its logarithm.
    luck: float

    def skill(self, plays: int) -> float:
        """The skill after so many plays."""
        return self.practised - (self.practised - self.first) * exp(-plays / self.pace)

    def play(self, plays: int, dice: Random) -> int:
        """The score of one more play after so many. The nearer to the ceiling, the harder is the next point."""
        raw = exp(self.skill(plays) + dice.gauss(0, self.luck))
        return max(1, round(CEILING * (1 - exp(-raw / CEILING))))


def make_talent(dice: Random) -> Talent:
    luck = dice.uniform(0.2, 0.45)
    if dice.randrange(1000) < PRODIGIES_PER_MILLE:
        practised = dice.gauss(log(5 * PRACTISED), 0.25)
        return Talent(practised - dice.uniform(0.1, 0.5), practised, dice.uniform(3, 12), luck)
    practised = dice.gauss(log(PRACTISED), DIFFER)
    return Talent(practised - dice.uniform(0.5, 1.8), practised, dice.lognormvariate(log(25), 0.6), luck)
