"""A progress bar on the terminal, beside the result that a pipe may take; elsewhere nothing but the result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yields what to tell: the stage, how many are done, how many there are."""
    with click.progressbar(
        length=0,
        show_pos=True,
        item_show_func=lambda stage: stage,
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    ) as bar:

        def tell(stage: str, done: int, total: int) -> None:
            bar.length = max(total, done, 1)
            bar.update(done - bar.pos, stage)

        yield tell
