"""The machine's limits, measured in the same run as the operators: what no implementation can go below.

limit = max(bytes that must move / triad bandwidth, vector arithmetic / its rate, divisions / their rate)
        + the call of an empty kernel

The triad has the footprint and the number of threads of the operation, in the faster of its two forms: ordinary stores
(wins in cache) or streaming stores (wins in memory). The limit is taken for one thread and for all of them, the empty
call including the waking of those threads, and the smaller time counts.
"""

from __future__ import annotations

import functools
import math
import timeit
from typing import Any, NamedTuple

import torch
from torch import Tensor

from torchext import _C


class Work(NamedTuple):
    """Instructions per vector of float32 lanes."""

    arithmetic: int  # multiply-adds, multiplications, additions, min and max; not moves, shifts, compares, selects
    divisions: int = 0


# The shortest forms known to us that reach the promised accuracy. The parts, in instructions:
#   exp    11  magic-number rounding 2, two-part reduction 2, polynomial of degree 6, scale 1
#   expm1  13  exp's, with the polynomial and the scale carried in two parts
#   log1p  12  reduction 3, polynomial of degree 8 over the mantissa, exponent times ln 2
#   erf    18  polynomial of degree 7 times exp
# Counts for float64 are larger (longer polynomials); the float32 ones are used, so its fractions read too low.
FORWARD = {
    "add": Work(1),
    "sub": Work(1),
    "mul": Work(1),
    "div": Work(0, 1),
    "fused_multiply_add": Work(1),
    "relu": Work(1),
    "leaky_relu": Work(1),
    "elu": Work(14),  # expm1, multiply
    "selu": Work(14),
    "gelu": Work(21),  # erf, scale, 0.5 x + 0.5 x erf
    "gelu_tanh": Work(16, 1),  # x sigmoid(2 u): u 3, sigmoid 12, multiply
    "sigmoid": Work(12, 1),  # exp, add, divide
    "tanh": Work(15, 1),  # expm1, add, divide
    "softplus": Work(24),  # exp, log1p, max
    "softsign": Work(1, 1),
    "silu": Work(12, 1),  # the multiplication merges into the division
    "mish": Work(15, 1),  # exp, n = e (e + 2), x n / (n + 2)
    "softmax": Work(14),  # max, subtract, exp, add, scale
    "log_softmax": Work(14),
}
# grad_input from grad_output and the saved tensor (the result for relu, elu, selu, sigmoid, tanh and the softmaxes).
BACKWARD = {
    "add": Work(0),
    "sub": Work(1),
    "mul": Work(2),
    "div": Work(2, 1),
    "fused_multiply_add": Work(2),
    "relu": Work(0),
    "leaky_relu": Work(1),
    "elu": Work(2),
    "selu": Work(2),
    "gelu": Work(32),  # erf and exp (shared reduction), combine 3
    "gelu_tanh": Work(22, 1),
    "sigmoid": Work(3),
    "tanh": Work(2),
    "softplus": Work(13, 1),
    "softsign": Work(3, 1),
    "silu": Work(16, 1),
    "mish": Work(22, 1),
    "softmax": Work(4),
    "log_softmax": Work(13),
}


def variant(name: str, kwargs: dict[str, Any]) -> str:
    """The row of the tables above: gelu has two."""
    return "gelu_tanh" if name == "gelu" and kwargs.get("approximate") == "tanh" else name


def tensor_bytes(*tensors: Tensor) -> int:
    """Bytes behind these tensors, an expanded dimension counted once and a tensor passed twice read once."""
    different = {(t.data_ptr(), t.shape, t.stride()): t for t in tensors}.values()
    return sum(
        math.prod(size for size, step in zip(t.shape, t.stride(), strict=True) if step) * t.element_size()
        for t in different
    )


@functools.cache
def fma_rate(threads: int) -> float:
    return float(_C.limits_fma(threads))


@functools.cache
def divide_rate(threads: int) -> float:
    return float(_C.limits_divide(threads))


@functools.cache
def _triad_rate(half_octave: int, threads: int) -> float:
    floats = max(64, round(2 ** (half_octave / 2)) // 12)  # three arrays of float32
    return max(float(_C.limits_triad(floats, threads, streaming, 8)) for streaming in (False, True))


def triad_rate(footprint: int, threads: int) -> float:
    """Bytes per second over `footprint` bytes (rounded to a factor of sqrt 2, so that few footprints are measured)."""
    return _triad_rate(round(2 * math.log2(max(footprint, 1))), threads)


@functools.cache
def empty_call_seconds(threads: int) -> float:
    tensor = torch.ones(64)
    timer = timeit.Timer("call(tensor, threads)", globals={"call": _C.empty_call, "tensor": tensor, "threads": threads})
    return min(timer.repeat(repeat=20, number=1000)) / 1000


def seconds(footprint: int, elements: int, dtype: torch.dtype, work: Work | None) -> float:
    """The limit of one operator call that moves `footprint` bytes; without `work`, of the movement alone."""
    lanes = _C.limits_lanes() // (2 if dtype.itemsize == 8 else 1)
    vectors = elements / lanes
    best = math.inf
    for threads in {1, torch.get_num_threads()}:
        moving = footprint / triad_rate(footprint, threads)
        computing = 0.0
        if work is not None:
            computing = vectors * max(work.arithmetic / fma_rate(threads), work.divisions / divide_rate(threads))
        best = min(best, max(moving, computing) + empty_call_seconds(threads))
    return best


def describe() -> str:
    """One line per figure, for the head of the report."""
    threads = torch.get_num_threads()
    sizes = {"48 KiB": 48 << 10, "768 KiB": 768 << 10, "12 MiB": 12 << 20, "192 MiB": 192 << 20}
    triads = ", ".join(f"{label} {triad_rate(size, threads) / 1e9:.0f}" for label, size in sizes.items())
    return (
        f"Limits with {threads} threads: triad GB/s {triads}; {fma_rate(threads) / 1e9:.1f} G multiply-adds/s and "
        f"{divide_rate(threads) / 1e9:.2f} G divisions/s,\neach of {_C.limits_lanes()} float32 lanes; empty call "
        f"{empty_call_seconds(1) * 1e6:.2f} us (1 thread), {empty_call_seconds(threads) * 1e6:.2f} us ({threads})"
    )
