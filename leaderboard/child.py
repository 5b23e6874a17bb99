"""Processes of ours that end when we do.

Each child gets a session of its own, so Ctrl-C on the terminal reaches only the process that started it,
which then ends its children in the right order. On Linux the kernel sends a child SIGTERM when its parent
dies, however it dies. Other systems have no such thing: there a child may outlive a parent killed with -9,
and for the embedded store the lock on the data directory makes the next start say so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import IO

_PR_SET_PDEATHSIG = 1

#: Loaded here because a process that has just forked should do as little as it can.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """One running process, in its own session.

    Start it from the main thread: Linux takes "the parent died" to mean the thread that forked.
    """

    def __init__(
        self,
        args: Sequence[str],
        *,
        env: Mapping[str, str],
        output: IO[bytes] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it; `output` takes both its output streams. Raise OSError when it cannot be executed."""
        self._process = subprocess.Popen(  # noqa: S603 - the callers build args, no shell is involved
            args,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - nothing else can set PDEATHSIG before exec
        )
        self._group_ended = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal, or None while it runs."""
        status = self._process.poll()
        if status is not None and not self._group_ended:
            # What the dead process forked (gunicorn's workers, an AOF rewrite) would hold on to the port or
            # the files that its successor needs.
            self._group_ended = True
            self._kill_group()
        return status

    def send(self, signal_number: int) -> None:
        """Send it a signal; nothing happens when it has ended."""
        self._process.send_signal(signal_number)

    def kill(self) -> None:
        """Kill it and all it forked, and wait for it."""
        if self.poll() is None:
            self._kill_group()
            self._process.wait()
            self._group_ended = True

    def wait(self, patience_s: float) -> bool:
        """Return whether it ended within that time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
        return self.poll() is not None

    def _kill_group(self) -> None:
        # Its session makes it the leader of a group with its own number. The number cannot belong to a
        # stranger while members are left, and with none left this finds nothing.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _die_with(parent: int) -> Callable[[], None]:
    def in_the_child() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                # The parent died between fork and prctl, so no signal will come.
                os._exit(1)

    return in_the_child
