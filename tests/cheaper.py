"""What every test would pay for again, and is the same each time, is done once per test process.

None of it changes what is tested: each test has an application and connections of its own.
"""

from __future__ import annotations

import gc
from functools import cache
from typing import Any

import redis.utils
from werkzeug.routing import Rule

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


def do_it_once() -> None:
    """From now on, in this process."""
    Rule.compile = _compile_once  # type: ignore[method-assign]
    # Read from a file for every new connection, though it names none but redis-py's own version.
    redis.utils.get_lib_version = cache(redis.utils.get_lib_version)


def leave_alone_what_stays() -> None:
    """The garbage collector need not look at modules and collected tests again and again."""
    gc.collect()
    gc.freeze()
