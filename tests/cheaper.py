"""What every test would pay for again, and is the same each time, is done once per test process.

None of it changes what is tested: each test has an application and connections of its own.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import redis.utils
from sqlalchemy import Connection, event
from werkzeug.routing import Rule

from leaderboard.archive import schema
from leaderboard.archive.tables import Tables

_compile = Rule.compile
_compiled: dict[Any, Rule] = {}


def _compile_once(rule: Rule) -> None:
    """An application has more than a hundred rules, and every one is the same as in the application before it."""
    converters = frozenset(rule.map.converters.items())
    defaults = tuple(sorted((rule.defaults or {}).items()))
    form = (rule.rule, rule.host, rule.subdomain, rule.map.host_matching, rule.merge_slashes, defaults, converters)
    known = _compiled.get(form)
    if known is None:
        _compile(rule)
        _compiled[form] = rule
        return
    rule._parts, rule._trace, rule._converters = known._parts, known._trace, known._converters
    rule.arguments = rule.arguments | known.arguments
    rule._build = known._build.__func__.__get__(rule, None)  # type: ignore[attr-defined]
    rule._build_unknown = known._build_unknown.__func__.__get__(rule, None)  # type: ignore[attr-defined]


#: The real one, for the tests of migrations.
upgrade = schema.upgrade

_statements: dict[tuple[str, str], list[tuple[str, Any]]] = {}


def _upgrade_once(connection: Connection, tables: Tables) -> None:
    """The migrations of an empty archive come to the same statements each time; alembic needs far longer for them."""
    form = (connection.dialect.name, tables.namespace)
    if schema.revision(connection, tables) is not None:
        upgrade(connection, tables)
    elif form in _statements:
        for statement, parameters in _statements[form]:
            connection.exec_driver_sql(statement, parameters or None)
    else:
        ran: list[tuple[str, Any]] = []

        def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
            if not statement.lstrip().startswith(("SELECT", "PRAGMA")):
                ran.append((statement, parameters))

        event.listen(connection, "before_cursor_execute", note)
        try:
            upgrade(connection, tables)
        finally:
            event.remove(connection, "before_cursor_execute", note)
        _statements[form] = ran


def do_it_once() -> None:
    """From now on, in this process."""
    Rule.compile = _compile_once  # type: ignore[method-assign]
    schema.upgrade = _upgrade_once
    # Read from a file for every new connection, though it names none but redis-py's own version.
    redis.utils.get_lib_version = cache(redis.utils.get_lib_version)


def leave_alone_what_stays() -> None:
    """The garbage collector need not look at modules and collected tests again and again."""
    gc.collect()
    gc.freeze()
