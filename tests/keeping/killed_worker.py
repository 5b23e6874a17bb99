"""Workers and rebuilds that kill themselves at a given line: `python -m tests.keeping.killed_worker WHAT POINT …`.

The service has no hooks for this. Each POINT gets a process of its own (forked, so that nothing is imported again) that
runs the service's own code, follows the lines of what is watched, and sends itself SIGKILL before the one that the
point names is executed:

    7                    the seventh line of all that are watched
    worker/drain.py:88   line 88 of that file, when it is reached for the first time; worker/drain.py:88:2 the second
    ~0.25                no line, but whatever it does after so many seconds: in the middle of a commit, say

WHAT is `worker` or `rebuild`. One line of JSON is printed for each: {"point", "pid", "ended": "killed" or "finished"}.
After `--pause` it stops (SIGSTOP) instead, which prints "paused", and goes on when it is told to (SIGCONT). With
`--at-once N` the shares of a rebuild are of N rows.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from sqlalchemy import update

from leaderboard import journal, rebuild
from leaderboard.archive import gathered, readers, writer
from leaderboard.installation import Installation, open_installation
from leaderboard.rebuild import stages
from leaderboard.settings import load_settings
from leaderboard.worker import drain

WATCHED = {"worker": (drain, readers, writer, gathered, journal), "rebuild": (rebuild, stages, readers)}

#: A worker that has not come to its point by then will not.
WORKS_S = 1.0


def name_of(file: str) -> str:
    """How a point names a file."""
    return "/".join(Path(file).parts[-2:])


def lines_of(function: Callable[..., Any]) -> list[int]:
    """The lines of a function at which something is executed, in order."""
    code: CodeType = function.__code__
    return sorted({line for _, _, line in code.co_lines() if line is not None and line != code.co_firstlineno})


def end_lease(lb: Installation) -> None:
    """As if the time of the lease had run out: whoever had it is dead."""
    table = lb.archive.tables.readers
    with lb.archive.write() as connection:
        connection.execute(update(table).values(until_ms=0))


def main() -> None:
    what, *points = sys.argv[1:]
    number = signal.SIGKILL
    if points[0] == "--pause":
        number = signal.SIGSTOP
        points.pop(0)
    if points[0] == "--at-once":
        stages.AT_ONCE = int(points[1])
        points = points[2:]
    for point in points:
        pid = os.fork()
        if pid == 0:
            _become(what, point, number)
        ended = None
        while ended in (None, "paused"):
            ended = _wait(pid)
            print(json.dumps({"point": point, "pid": pid, "ended": ended}), flush=True)


def _wait(pid: int) -> str:
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return "paused"
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return "killed"
    return "finished" if status == 0 else f"failed with {status}"


def _become(what: str, point: str, number: int) -> None:
    status = 1
    try:
        lb = open_installation(load_settings())
        if lb.archive.exists():
            end_lease(lb)
        _arm(what, point, number)
        if what == "worker":
            over_s = time.monotonic() + WORKS_S
            drain.Drain(lb).run(lambda: time.monotonic() > over_s)
        else:
            rebuild.rebuild(lb, replacing=True)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # What belongs to the process that this one was forked from is left alone.
        os._exit(status)


def _arm(what: str, point: str, number: int) -> None:
    if point.startswith("~"):
        threading.Timer(float(point[1:]), os.kill, (os.getpid(), number)).start()
        return
    *name, line = point.split(":")
    wanted, left = None, int(line)
    if name:
        wanted, left = (name[0], int((name[1:] or [line])[0])), int(line) if name[1:] else 1
    watched = {str(module.__file__): name_of(str(module.__file__)) for module in WATCHED[what]}
    pid = os.getpid()

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        return execute if frame.f_code.co_filename in watched else None

    def execute(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal left
        if event == "line" and (not wanted or (watched[frame.f_code.co_filename], frame.f_lineno) == wanted):
            left -= 1
            if left == 0:
                os.kill(pid, number)
        return execute

    sys.settrace(enter)


if __name__ == "__main__":
    main()
