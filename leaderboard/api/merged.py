"""Leading from the ids of players that were merged to those that they are now."""

from __future__ import annotations

from flask import current_app, request, url_for

from leaderboard.errors import Problem
from leaderboard.gone import check_not_merged

#: What names a player in a path.
_NAMES = ("player", "other")

#: It says itself what became of it.
_NOT_LED_ON = "merging.merge_player"


def lead_on(problem: Problem) -> Problem:
    """The 308 to the same path of the player that the one it names is now; else the problem as it is.

    A missing entry may be one that went to another id: that is looked up here, so that a read that finds one does not.
    """
    names = request.view_args or {}
    if problem.code == "entry_not_found" and names.get("player", "me") != "me":
        try:
            check_not_merged(current_app.extensions["leaderboard"], names["player"])
        except Problem as merged:
            problem = merged
    named = next((name for name in _NAMES if names.get(name) == problem.extra.get("player")), None)
    if problem.code != "player_merged" or named is None or request.endpoint in (None, _NOT_LED_ON):
        return problem
    path = url_for(str(request.endpoint), **(names | {named: problem.extra["into"]}))
    query = request.query_string.decode("latin-1")
    headers = {"Location": f"{path}?{query}" if query else path}
    return Problem("player_moved", problem.detail, headers=headers, extra={"into": problem.extra["into"]})
