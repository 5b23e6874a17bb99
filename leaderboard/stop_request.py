"""Whether somebody asked this process to stop."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class StopRequest:
    """While entered, SIGTERM, SIGINT and SIGHUP only set a flag, so that nothing is left half started.

    Loops look at the flag. It is a plain attribute because a handler may run anywhere, also where a lock is
    held.
    """

    def __init__(self) -> None:
        self.asked = False
        #: A Ctrl-C came after the stop had begun: somebody is waiting for it.
        self.hurried = False
        self._before: dict[signal.Signals, Any] = {}

    def __call__(self) -> bool:
        """Return whether a stop was asked for."""
        return self.asked

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            # `nohup` and a shell's `&` make a process deaf to some signals on purpose.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            self.hurried = True
        self.asked = True
