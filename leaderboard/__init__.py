"""A self-hosted leaderboard backend for multiplayer games."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from leaderboard.clock import TellsTime
    from leaderboard.settings import Settings

__version__ = "0.1.0"


def create_app(settings: Settings | None = None, clock: TellsTime | None = None) -> Flask:
    """The WSGI application of one installation.

    Settings come from the environment unless given. The store need not be there yet: until it is, every call but
    `/livez` answers 503. Raises SettingError for settings that cannot work.
    """
    from flask import Flask

    from leaderboard.api import register_api
    from leaderboard.installation import open_installation
    from leaderboard.settings import load_settings

    settings = settings or load_settings()
    app = Flask(__name__, static_folder=None)
    app.extensions["leaderboard"] = open_installation(settings, clock)
    register_api(app, settings)
    return app
