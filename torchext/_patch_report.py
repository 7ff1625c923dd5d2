"""report(): what patch() has replaced, how often that ran, and why not."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from torchext import _C, _patch
from torchext._redirect import Redirect
from torchext._registry import Row

__all__ = ["Entry", "Report", "report", "reset_report"]


@dataclass(frozen=True)
class Entry:
    """One replaced function or kernel.

    Attributes:
        row: its name in torchext.
        family: of that row.
        name: what is replaced: ``"aten::gelu_backward"``, ``"torch.nn.functional.cross_entropy"``.
        state: ``"on"``; ``"off"``; ``"foreign"``: another library had replaced it before us, and keeps it;
            ``"shadowed"``: another library has replaced it after us, so that ours is not reached.
        calls: while it was on.
        hits: those that our kernels served.
        fall_throughs: reason -> calls that torch's own code served. ``"dtype"``, ``"layout"``, ``"arguments"``: what
            our kernels do not take; ``"tracing"``: a compiler or tracer looked on; ``"subclass"``: a tensor subclass;
            ``"error"``: a wrong call, most likely; ``"other"``: served by another operator of ours or torch's.
    """

    row: str
    family: str
    name: str
    state: str
    calls: int
    hits: int
    fall_throughs: dict[str, int]


@dataclass(frozen=True)
class Report:
    """The state of every override; ``print()`` shows a table of those that were called."""

    patched: bool
    memory: bool
    entries: tuple[Entry, ...]

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(asdict(self), indent=2)

    def __str__(self) -> str:
        head = "patched" if self.patched else "not patched"
        head += "; the pool serves every CPU tensor" if self.memory else "; torch's own allocator"
        shown = [entry for entry in self.entries if entry.calls or entry.state not in ("on", "off")]
        idle = sum(entry.state == "on" for entry in self.entries if not entry.calls)
        lines = [f"{'replaced':44} {'state':9} {'calls':>9} {'hits':>9}  fall-throughs"]
        for entry in sorted(shown, key=lambda entry: -entry.calls):
            reasons = ", ".join(f"{reason} {count}" for reason, count in entry.fall_throughs.items())
            lines.append(f"{entry.name:44} {entry.state:9} {entry.calls:9} {entry.hits:9}  {reasons}".rstrip())
        rest = [f"{idle} more are on and were not called"] if idle else []
        return "\n".join([head, *(lines if shown else []), *rest])


# Counters of operators at the last reset: redirected functions count calls, not what became of them.
_before: dict[str, dict[str, int]] = {}


def report() -> Report:
    """Tells what :func:`patch` has replaced, how often it was called, and how often our kernels served the call.

    Hits of functions that are redirected in Python include direct calls of ``torchext``'s own function.

    Returns:
        A :class:`Report`: a table under ``print()``, ``entries`` for programs, ``to_json()``.

    Example:
        >>> import torch, torchext
        >>> torchext.reset_report()
        >>> with torchext.patched(only="tanh"):
        ...     y = torch.tanh(torch.ones(3))
        >>> [entry.hits for entry in torchext.report().entries if entry.name == "aten::tanh"]
        [1]
    """
    families = {row.name: row for row in _patch.patchable_rows()}
    entries = [_kernel_entry(families[entry["row"]], entry) for entry in _C.patch.overrides()]
    entries += [_function_entry(families[name], redirect) for name, redirect in _patch.redirects().items()]
    return Report(_patch.is_patched(), bool(_C.memory.is_installed()), tuple(entries))


def reset_report() -> None:
    """Counts of :func:`report` start again from 0.

    Example:
        >>> import torchext
        >>> torchext.reset_report()
        >>> sum(entry.calls for entry in torchext.report().entries)
        0
    """
    _C.patch.reset_counts()
    for redirect in _patch.redirects().values():
        redirect.calls.clear()
    _before.clear()
    _before.update(_C.counters())


def _kernel_entry(row: Row, entry: dict[str, Any]) -> Entry:
    reasons = dict(entry["decisions"])
    hits = reasons.pop("taken")
    reasons["other"] = max(0, entry["calls"] - hits - sum(reasons.values()))
    state = "on" if entry["on"] else "off" if entry["installed"] or not _patch.is_patched() else "foreign"
    if entry["shadowed"]:
        state = "shadowed"
    return Entry(row.name, row.family, f"aten::{entry['name']}", state, entry["calls"], hits, _without_zeros(reasons))


def _function_entry(row: Row, redirect: Redirect) -> Entry:
    reasons = Counter(redirect.calls)
    calls = reasons.pop("calls", 0)
    after = _C.counters()
    operators = [name for name in row.counters if name in after]
    decisions = {
        reason: sum(after[name].get(reason, 0) - _before.get(name, {}).get(reason, 0) for name in operators)
        for reason in ("taken", "dtype", "layout", "arguments", "slower")
    }
    hits = min(decisions.pop("taken"), calls)
    reasons.update(decisions)
    state = "shadowed" if redirect.is_shadowed else "on" if redirect.on else "off"
    name = f"torch.nn.functional.{redirect.function.__name__}"
    return Entry(row.name, row.family, name, state, calls, hits, _without_zeros(reasons))


def _without_zeros(reasons: dict[str, int]) -> dict[str, int]:
    return {reason: count for reason, count in reasons.items() if count}
