"""An evening in a few minutes, for `locust -f loadtests/locustfile.py,loadtests/shapes.py --headless`.

Players come, the season ends at the peak (everybody looks at once and plays on), players go.
"""

from __future__ import annotations

from locust import LoadTestShape


class Evening(LoadTestShape):
    #: Until when (s), how many users, how many come or go in a second.
    stages = ((60, 50, 5), (120, 200, 10), (180, 400, 40), (240, 200, 20), (300, 50, 10))

    def tick(self) -> tuple[int, float] | None:
        now = self.get_run_time()
        return next(((users, rate) for until, users, rate in self.stages if now < until), None)
