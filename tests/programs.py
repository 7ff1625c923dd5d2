"""Runs Python programs of their own: what an import, an environment variable or an exit does to a whole process."""

from __future__ import annotations

import os
import subprocess
import sys


def run_python(*arguments: str, environment: dict[str, str] | None = None, fails: bool = False) -> str:
    """What a program prints; of one that fails as it should, what it says. One argument with spaces is its source."""
    command = list(arguments) if len(arguments) > 1 or " " not in arguments[0] else ["-c", arguments[0]]
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    if fails:
        return done.stderr
    assert not done.stderr, done.stderr
    return done.stdout
