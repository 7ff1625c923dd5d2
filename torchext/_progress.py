"""A progress display without dependencies, for the commands of `python -m torchext`."""

from __future__ import annotations

import sys


class Progress:
    """A bar on stderr when that is a terminal; otherwise about ten plain lines."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.is_terminal = sys.stderr.isatty()

    def show(self, step: int, text: str) -> None:
        """`step` of 1..steps is done; `text` says what it was."""
        if self.is_terminal:
            filled = 30 * step // self.steps
            end = "\n" if step == self.steps else ""
            sys.stderr.write(f"\r[{'#' * filled}{'.' * (30 - filled)}] {text}\x1b[K{end}")
        elif step in (1, self.steps) or step % max(1, self.steps // 10) == 0:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()
