"""`python -m leaderboard.worker`, as `leaderboard serve` starts it."""

from leaderboard.settings import load_settings
from leaderboard.stop_request import StopRequest
from leaderboard.worker import work

if __name__ == "__main__":
    with StopRequest() as stop:
        work(load_settings(), stop)
