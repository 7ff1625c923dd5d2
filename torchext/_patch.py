"""patch(): torch's own functions run our kernels, until unpatch().

Two levels. In ATen, CPU kernels are overridden (csrc/patch), whoever calls them: Python, C++ or autograd. Functions
that have no kernel of their own there (``F.cross_entropy`` is composed of others) are redirected in Python.
"""

from __future__ import annotations

import difflib
import threading
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch.nn.functional as F

from torchext import _C, memory
from torchext._redirect import Redirect
from torchext._registry import Row, rows

__all__ = ["is_patched", "patch", "patched", "unpatch"]

Names = str | Iterable[str]


@dataclass(frozen=True)
class Selection:
    """What is patched: rows of the registry by name, and whether the pool is the process's allocator on our behalf."""

    rows: frozenset[str]
    memory: bool


_lock = threading.RLock()
_current: Selection | None = None


def patch(only: Names | None = None, exclude: Names | None = None, memory: bool = True, random: bool = False) -> None:
    """Makes torch itself run torchext's kernels, in this process, from now on.

    Models, optimizers and libraries that call torch's functions become faster as they are; what a kernel of ours does
    not serve runs in torch as before, bit for bit. Call it before other threads start; a second call replaces the
    selection. :func:`unpatch` undoes it.

    Args:
        only: names (``"gelu"``) or families (``"activation"``) of functions, names first; None: all.
        exclude: names or families that stay torch's own.
        memory: also make the pool the allocator of every CPU tensor (:func:`torchext.memory.install`).
        random: also patch functions that draw random numbers. They draw others than torch for the same seed.

    Raises:
        ValueError: a name that is neither a function nor a family, or one that needs ``random=True``. Nothing changes.

    Example:
        >>> import torch, torchext
        >>> torchext.patch(only="activation", memory=False)
        >>> torch.tanh(torch.tensor([0.5]))
        tensor([0.4621])
        >>> torchext.unpatch()
    """
    _apply(Selection(_select(only, exclude, random), memory))


def unpatch() -> None:
    """Undoes :func:`patch`: torch's own kernels and functions run again. An allocator that you installed stays.

    Example:
        >>> import torchext
        >>> torchext.unpatch()
        >>> torchext.is_patched()
        False
    """
    _apply(None)


def is_patched() -> bool:
    """Whether :func:`patch` is in force.

    Returns:
        True between :func:`patch` and :func:`unpatch`, and within :func:`patched`.

    Example:
        >>> import torchext
        >>> torchext.is_patched()
        False
    """
    return _current is not None


@contextmanager
def patched(
    only: Names | None = None, exclude: Names | None = None, memory: bool = True, random: bool = False
) -> Iterator[None]:
    """:func:`patch` for the duration of a block; afterwards the state before it holds again. It nests.

    The whole process is patched meanwhile, not this thread alone.

    Example:
        >>> import torchext
        >>> with torchext.patched():
        ...     torchext.is_patched()
        True
        >>> torchext.is_patched()
        False
    """
    with _lock:
        before = _current
        patch(only, exclude, memory, random)
    try:
        yield
    finally:
        _apply(before)


@cache
def overridden_rows() -> frozenset[str]:
    """Rows that stand for kernels of ATen."""
    return frozenset(entry["row"] for entry in _C.patch.overrides())


@cache
def redirects() -> dict[str, Redirect]:
    """Row -> the function of ``torch.nn.functional`` that is redirected: those that no kernel of ATen stands for."""
    return {
        row.name: Redirect(row.original, row.function)
        for row in rows()
        if (row.redirected or row.name not in overridden_rows())
        and isinstance(row.original, types.FunctionType)
        and getattr(F, row.original.__name__, None) is row.original
    }


def patchable_rows() -> list[Row]:
    """Rows that patch() can do something for."""
    return [row for row in rows() if row.name in overridden_rows() or row.name in redirects()]


def _select(only: Names | None, exclude: Names | None, random: bool) -> frozenset[str]:
    drawn = {row.name for row in patchable_rows() if row.random}
    chosen = {row.name for row in patchable_rows()} if only is None else _rows_of("only", only)
    if only is not None and not random and chosen & drawn:
        raise ValueError(
            f"patch(): {', '.join(sorted(chosen & drawn))} draws other random numbers than torch for the same seed; "
            "pass random=True to patch it."
        )
    excluded = _rows_of("exclude", exclude) if exclude is not None else set()
    return frozenset(chosen - excluded - (set() if random else drawn))


def _rows_of(argument: str, names: Names) -> set[str]:
    candidates = patchable_rows()
    families = {row.family for row in candidates}
    known = {row.name for row in candidates} | families
    chosen: set[str] = set()
    for name in [names] if isinstance(names, str) else list(names):
        if name not in known:
            close = difflib.get_close_matches(str(name), sorted(known), n=3)
            hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known: {', '.join(sorted(known))}."
            raise ValueError(f"patch(): {argument}={name!r} is neither a function nor a family; {hint}")
        is_row = any(row.name == name for row in candidates)  # "softmax" is a family, too
        chosen |= {row.name for row in candidates if name == (row.name if is_row else row.family)}
    return chosen


def _apply(selection: Selection | None) -> None:
    global _current
    with _lock:
        if selection is not None:
            _C.patch.install()
            if selection.memory:
                memory._acquire("patch")  # may raise: before anything else has changed
        chosen = selection.rows if selection is not None else frozenset()
        _C.patch.switch(set(chosen))
        for name, redirect in redirects().items():
            redirect.switch(name in chosen)
        if selection is None or not selection.memory:
            memory._release("patch")
        _current = selection
