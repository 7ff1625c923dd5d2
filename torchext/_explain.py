"""explain(): what patch() would do for a model, and how much faster it would be."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from torchext import _C, _patch
from torchext._verify import _loss_of, _restored

__all__ = ["Explanation", "Gain", "explain"]

# What a call must win in all to be worth a sentence.
_WORTHWHILE = 1.02


@dataclass(frozen=True)
class Gain:
    """Milliseconds per call of the model that an operator takes, by itself.

    Attributes:
        name: of the operator in ATen.
        replaced: whether patch() has a kernel for it; other operators gain from pooled memory alone.
        stock: milliseconds, unpatched.
        patched: milliseconds, patched.
    """

    name: str
    replaced: bool
    stock: float
    patched: float


@dataclass(frozen=True)
class Explanation:
    """What :func:`explain` found; ``print()`` shows it.

    Attributes:
        stock: milliseconds of a call, unpatched.
        predicted: milliseconds of a call, patched.
        gains: operators, the largest gain first.
    """

    stock: float
    predicted: float
    gains: tuple[Gain, ...]

    @property
    def speedup(self) -> float:
        """Predicted: stock over patched time."""
        return self.stock / self.predicted

    def __str__(self) -> str:
        head = f"{self.stock:.2f} ms unpatched, {self.predicted:.2f} ms patched: {self.speedup:.2f} times as fast"
        if self.speedup < _WORTHWHILE:
            return f"Nothing here would become faster by patch(): {head}."
        lines = [head, f"{'operator':40} {'stock ms':>9} {'patched':>9} {'saves':>7}"]
        for gain in self.gains:
            saved = gain.stock - gain.patched
            if saved > 0.005 * self.stock:
                note = "" if gain.replaced else "  (pooled memory)"
                lines.append(f"{gain.name:40} {gain.stock:9.3f} {gain.patched:9.3f} {saved / self.stock:7.1%}{note}")
        return "\n".join(lines)


def explain(model: nn.Module, *inputs: Any, rounds: int = 5, **keywords: Any) -> Explanation:
    """Profiles a model, unpatched and patched, and tells what patch() would speed up and by how much.

    In training mode a call is forward and backward, in evaluation mode forward alone. Operators' times come from
    torch's profiler; the prediction is the unprofiled time in proportion. Parameters, gradients and random numbers are
    left as they were, and so is the patch.

    Args:
        model: any module.
        inputs: what the model is called with; keywords likewise.
        rounds: calls that are measured, in turns; medians count.

    Returns:
        An :class:`Explanation`; its text says so where nothing would become faster.

    Raises:
        ValueError: ``rounds`` is not positive.
        RuntimeError: what the model raises.

    Example:
        >>> import torch, torchext
        >>> explanation = torchext.explain(torch.nn.Mish().eval(), torch.randn(1000, 1000), rounds=2)
        >>> explanation.gains[0].name
        'aten::mish'
    """
    if rounds < 1:
        raise ValueError(f"explain(): expected a positive number of rounds, got {rounds}")

    def call() -> None:
        with torch.set_grad_enabled(model.training):
            loss = _loss_of(model(*inputs, **keywords)) if model.training else model(*inputs, **keywords)
            if model.training and loss is not None and loss.requires_grad:
                loss.backward()

    was = _patch._current
    seconds: dict[bool, list[float]] = {False: [], True: []}
    operators: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    try:
        with _restored(model):
            for is_patched in (False, True):  # warm up
                _switch(is_patched)
                call()
            for _ in range(rounds):
                for is_patched in (False, True):
                    _switch(is_patched)
                    call()
                    if not is_patched:
                        seconds[is_patched].append(_seconds(call))
                    operators[is_patched].append(_profile(call))
    finally:
        _patch._apply(was)
    stock = statistics.median(seconds[False]) * 1e3
    gains = _gains(*(_medians(operators[is_patched]) for is_patched in (False, True)))
    # The profiler slows every operator by about the same: what they take in all is put into proportion.
    before, after = (sum(getattr(gain, state) for gain in gains) for state in ("stock", "patched"))
    return Explanation(stock, stock * after / before if before else stock, gains)


def _switch(is_patched: bool) -> None:
    if is_patched:
        _patch.patch()
    else:
        _patch.unpatch()


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _profile(call: Callable[[], None]) -> dict[str, float]:
    """Operator -> milliseconds by itself."""
    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiler:
        call()
    return {event.key: event.self_cpu_time_total / 1e3 for event in profiler.key_averages()}


def _medians(samples: list[dict[str, float]]) -> dict[str, float]:
    times: dict[str, list[float]] = defaultdict(list)
    for sample in samples:
        for name, milliseconds in sample.items():
            times[name].append(milliseconds)
    return {name: statistics.median(values) for name, values in times.items()}


def _gains(stock: dict[str, float], patched: dict[str, float]) -> tuple[Gain, ...]:
    replaced = {f"aten::{entry['name'].partition('.')[0]}" for entry in _C.patch.overrides() if entry["installed"]}
    gains = [
        Gain(name, name in replaced or name.startswith("rusttorch::"), stock.get(name, 0.0), patched.get(name, 0.0))
        for name in {**stock, **patched}
    ]
    return tuple(sorted(gains, key=lambda gain: gain.patched - gain.stock))
