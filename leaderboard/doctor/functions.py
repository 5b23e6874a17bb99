"""The function library in the store, and what its Lua runs on."""

from __future__ import annotations

import re

from leaderboard.doctor.case import Case
from leaderboard.doctor.check import CannotLookError, Finding, ok, warning
from leaderboard.store.library import Library, library

#: A function that only reads, to ask whether the library is there.
READS = "page"


def look_at_functions(case: Case) -> Finding:
    """Which versions of the library are loaded. One that is missing is no fault: the first call loads it."""
    own = library(case.settings.namespace)
    try:
        loaded = _loaded(case, own.prefix)
    except CannotLookError:
        return ok(f"{_name(own)} {'is' if _answers(case, own) else 'is not'} loaded; others may not be listed")
    old = sorted(loaded - {_name(own)})
    summary = f"{_name(own)} is loaded" if _name(own) in loaded else f"{_name(own)} is loaded by the first call"
    if not old:
        return ok(summary)
    return ok(
        f"{summary}; of other versions: {', '.join(old)}",
        "Processes of other versions need these libraries; once there are none, nobody does.",
        "; ".join(f"FUNCTION DELETE {name}" for name in old),
    )


def look_at_locale(case: Case) -> Finding:
    """Lua's own comparison of strings follows the locale. The library compares bytes, so nothing rests on it today."""
    try:
        # Under C the capital letters come first.
        follows_locale = case.sight.ask("EVAL_RO", "return {('a' < 'B') and 1 or 0}", 0, needs="+eval_ro")[0]
    except CannotLookError:
        return ok("this user may run no scripts, which is as it should be; the functions compare bytes by themselves")
    if not follows_locale:
        return ok("Lua compares strings by their bytes")
    return warning(
        "Lua compares strings by the server's locale",
        "The server was started under another locale than C. The functions compare bytes by themselves, but they are "
        "not tested like this.",
        "Start the server with LC_ALL=C in its environment.",
    )


def _name(own: Library) -> str:
    return f"{own.prefix}_{own.suffix}"


def _loaded(case: Case, namespace: str) -> set[str]:
    # Namespaces have no underscore, so this is ours and no other installation's.
    ours = re.compile(rf"{namespace}_[0-9a-f]{{10}}")
    listed = case.sight.ask("FUNCTION", "LIST", "LIBRARYNAME", f"{namespace}_*", needs="+function|list")
    names = {str(entry[entry.index("library_name") + 1]) for entry in listed}
    return {name for name in names if ours.fullmatch(name)}


def _answers(case: Case, own: Library) -> bool:
    """Call it without what it needs: its own complaint shows that it is there."""
    complaint = case.sight.refusal("FCALL_RO", own.function(READS), 0, needs="+fcall_ro")
    return complaint is None or "Function not found" not in complaint
