"""The package's own settings of gunicorn, listening to the container's network."""

from leaderboard.gunicorn_conf import *  # noqa: F403 - gunicorn takes the names of this module for its settings

bind = "0.0.0.0:8000"
