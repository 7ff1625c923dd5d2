"""Which kernel table runs: the instruction set is chosen once, from what the CPU offers, and may be lowered by hand.

The environment variable ``TORCHEXT_ISA`` sets it from outside (``TORCHEXT_ISA=scalar python train.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torchext import _C

__all__ = ["available", "current", "use", "using"]


def available() -> list[str]:
    """Names of the tables this CPU can run, best first; the last is always ``"scalar"``.

    Example:
        >>> import torchext
        >>> torchext.isa.available()[-1]
        'scalar'
    """
    return list(_C.available_isas())


def current() -> str:
    """Name of the table in use."""
    return str(_C.current_isa())


def use(name: str) -> None:
    """Makes ``name`` the table in use, for the whole process.

    Args:
        name: one of :func:`available`, or ``"auto"`` for the best.

    Raises:
        ValueError: the name is unknown, or this CPU cannot run that table; nothing changes.

    Example:
        >>> import torchext
        >>> torchext.isa.use("scalar")
        >>> torchext.isa.current()
        'scalar'
        >>> torchext.isa.use("auto")
    """
    _C.use_isa(name)


@contextmanager
def using(name: str) -> Iterator[None]:
    """Runs a block with another table (process-wide), and restores the one before.

    Args:
        name: as for :func:`use`.

    Raises:
        ValueError: as for :func:`use`.
    """
    before = current()
    use(name)
    try:
        yield
    finally:
        use(before)
