"""Where a process can be killed: the lines of a function, as points of tests/keeping/killed_worker.py."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from textwrap import dedent
from typing import Any

from tests.keeping.killed_worker import lines_of, name_of

#: What is only done where another one has the lease, where there is nothing to do, or where it takes long.
ELSEWHERE = ("if not records:", "if position is None:", "if row.owner not in", "if time.monotonic() - renewed_s")


def points_of(function: Callable[..., Any], *, every_line: bool = False) -> dict[str, str]:
    """The statements that a function executes when all is well, with their first lines; or all lines, also those in the
    middle of a statement."""
    lines, first = inspect.getsourcelines(function)
    file = name_of(str(inspect.getsourcefile(function)))
    passed, began = set(lines_of(function)), set()
    for node in ast.walk(ast.parse(dedent("".join(lines)))):
        left_out: list[ast.stmt] = []
        if isinstance(node, ast.stmt):
            began.add(node.lineno)
        if isinstance(node, ast.Raise):
            left_out = [node]
        if isinstance(node, ast.If) and lines[node.lineno - 1].strip().startswith(ELSEWHERE):
            left_out = node.body
        if isinstance(node, ast.match_case):
            began.add(node.pattern.lineno)
            left_out = node.body if isinstance(node.pattern, ast.MatchAs) else []
        for statement in left_out:
            passed -= set(range(first + statement.lineno - 1, first + (statement.end_lineno or 0)))
    texts = {line: lines[line - first].strip() for line in sorted(passed)}
    return {
        f"{file}:{line}": text
        for line, text in texts.items()
        if text != "case other:" and (every_line or line - first + 1 in began)
    }


def point_at(function: Callable[..., Any], begins: str) -> str:
    """The one line of a function that begins so."""
    (point,) = [point for point, text in points_of(function).items() if text.startswith(begins)]
    return point
