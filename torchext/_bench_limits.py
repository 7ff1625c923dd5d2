"""The machine's limits, measured in the same run as the operators: what no implementation can go below.

limit = max(bytes that must move / bandwidth, vector arithmetic / its rate, divisions / their rate)
        + the call of an empty kernel (backward: + the engine's way to an empty node)

The bandwidth is that of a triad with the footprint and the number of threads of the operation, in the faster of its two
forms: ordinary stores (wins in cache) or streaming stores (wins in memory). Where next to nothing is written, it is
that of reading alone, in the faster of one and four streams for each of two arrays: a core has few reads from memory
under way. The limit is taken for one thread and for all of them, the empty call including the waking of those threads,
and the smaller time counts.
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


# The shortest forms known to us that reach the promised accuracy, counted from their formulas (csrc/kernels:
# math_float.h, piecewise.h, activations.h). The parts, in instructions:
#   exp          12  clamp, magic-number rounding 2, reduction 2, r^2, series 4, last steps 2
#   piecewise    13  clamp, interval 4, u^2, polynomial of degree 7 (6: one less); look-ups are not counted
# Additions count at the rate of multiply-adds; a CPU with separate adders may exceed the limit a little. float64 needs
# longer polynomials than the float32 ones counted here: its fractions read too low.
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "linear", "linear_act")
FORWARD = {
    "add": Work(1),
    "sub": Work(1),
    "mul": Work(1),
    "div": Work(0, 1),
    "fused_multiply_add": Work(1),
    "relu": Work(1),
    "leaky_relu": Work(1),
    "elu": Work(15),  # exp less 1, three scales
    "selu": Work(15),
    "gelu": Work(14),  # piecewise, combine
    "gelu_tanh": Work(14),
    "sigmoid": Work(13, 1),  # exp, add
    "tanh": Work(24, 1),  # exp and an odd polynomial of degree 13, each for its range
    "softplus": Work(14),  # piecewise, max, add
    "softsign": Work(1, 1),
    "silu": Work(15, 1),  # exp, gate 3
    "mish": Work(17, 1),  # exp, n = e (e + 2), x n / (n + 2)
    "sum": Work(1),
    "mean": Work(1),
    "var": Work(3),  # sum, subtract, multiply-add
    "std": Work(3),
    "max": Work(1),
    "min": Work(1),
    "amax": Work(1),
    "amin": Work(1),
    "argmax": Work(1),
    "argmin": Work(1),
    "softmax": Work(13),  # max, subtract, exp by table 9, add, scale
    "log_softmax": Work(13),
    # Losses, reduced: the last addition of each is the sum's.
    "mse_loss": Work(2),  # subtract, multiply-add
    "l1_loss": Work(2),
    "smooth_l1_loss": Work(5),
    "huber_loss": Work(5),
    "binary_cross_entropy": Work(28),  # two logarithms of 11, two clamps, combine 3, add
    "binary_cross_entropy_with_logits": Work(16),  # piecewise, 1 - y, multiply-add, add
    "logsumexp": Work(12),  # softmax without its scale
    "cross_entropy": Work(12),  # logsumexp; what each row adds is not counted
    "linear_cross_entropy": Work(12),
    "layer_norm": Work(6),  # sum 1, squares 2, normal 2, weight and bias 1
    "rms_norm": Work(3),
    "dropout": Work(8),  # Philox4x32 of 7 rounds: 28 multiplications for four vectors, and the scale
    **dict.fromkeys(
        PRODUCTS, Work(1)
    ),  # for each multiply-add of the product; the activation of linear_act is not counted
}
# grad_input from grad_output and the saved tensor (the result for relu, selu, sigmoid, tanh and the softmaxes).
BACKWARD = {
    "add": Work(0),
    "sub": Work(1),
    "mul": Work(2),
    "div": Work(2, 1),
    "fused_multiply_add": Work(2),
    "relu": Work(0),
    "leaky_relu": Work(1),
    "elu": Work(3),
    "selu": Work(3),
    "gelu": Work(15),  # piecewise, 1 - p, scale
    "gelu_tanh": Work(15),
    "sigmoid": Work(3),
    "tanh": Work(2),
    "softplus": Work(16, 1),
    "softsign": Work(4, 1),
    "silu": Work(19, 1),
    "mish": Work(25, 1),
    "softmax": Work(4),
    "log_softmax": Work(15),
    "mse_loss": Work(2),
    "l1_loss": Work(2),
    "smooth_l1_loss": Work(3),
    "huber_loss": Work(4),
    "binary_cross_entropy": Work(5, 1),
    "binary_cross_entropy_with_logits": Work(15, 1),  # exp, add, subtract, scale
    "logsumexp": Work(11),  # subtract, exp by table 9, scale
    "cross_entropy": Work(11),
    "linear_cross_entropy": Work(11),
    "layer_norm": Work(12),  # normal 2, g 1, its sums 2, those of the parameters 2; gradient 5
    "rms_norm": Work(7),
    "dropout": Work(1),
    **dict.fromkeys(PRODUCTS, Work(2)),
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
    return max(float(_C.limits_triad(floats, threads, streaming, 30)) for streaming in (False, True))


def triad_rate(footprint: int, threads: int) -> float:
    """Bytes per second over `footprint` bytes (rounded to a factor of sqrt 2, so that few footprints are measured)."""
    return _triad_rate(round(2 * math.log2(max(footprint, 1))), threads)


@functools.cache
def _read_rate(half_octave: int, threads: int) -> float:
    floats = max(64, round(2 ** (half_octave / 2)) // 8)  # two arrays of float32
    return max(float(_C.limits_read(floats, threads, streams, 30)) for streams in (1, 4))


def read_rate(footprint: int, threads: int) -> float:
    return _read_rate(round(2 * math.log2(max(footprint, 1))), threads)


@functools.cache
def integer_rate(threads: int) -> float:
    return float(_C.limits_integer(threads))


@functools.cache
def empty_call_seconds(threads: int) -> float:
    tensor = torch.ones(64)
    timer = timeit.Timer("call(tensor, threads)", globals={"call": _C.empty_call, "tensor": tensor, "threads": threads})
    return min(timer.repeat(repeat=20, number=1000)) / 1000


@functools.cache
def engine_seconds() -> float:
    """What ``torch.autograd.grad`` takes when the graph is one view of 64 elements: no kernel can change that."""
    x, ones = torch.ones(64, requires_grad=True), torch.ones(64)
    names = {"view": x.view_as, "x": x, "ones": ones, "grad": torch.autograd.grad}
    whole, view = (timeit.Timer(text, globals=names) for text in ("grad(view(x), x, ones)", "view(x)"))
    return (min(whole.repeat(repeat=20, number=300)) - min(view.repeat(repeat=20, number=300))) / 300


def seconds(footprint: int, elements: int, dtype: torch.dtype, work: Work | None, written: int | None = None) -> float:
    """The limit of one operator call that moves `footprint` bytes, of which it writes `written` (None: a good part);
    without `work`, of the movement alone."""
    lanes = _C.limits_lanes() // (2 if dtype.itemsize == 8 else 1)
    vectors = elements / lanes
    bandwidth = read_rate if written is not None and written <= footprint / 16 else triad_rate
    arithmetic_rate = integer_rate if dtype == torch.int32 else fma_rate
    best = math.inf
    for threads in {1, torch.get_num_threads()}:
        moving = footprint / bandwidth(footprint, threads)
        computing = 0.0
        if work is not None:
            computing = vectors * max(work.arithmetic / arithmetic_rate(threads), work.divisions / divide_rate(threads))
        best = min(best, max(moving, computing) + empty_call_seconds(threads))
    return best


def describe() -> str:
    """One line per figure, for the head of the report."""
    threads = torch.get_num_threads()
    sizes = {"48 KiB": 48 << 10, "768 KiB": 768 << 10, "12 MiB": 12 << 20, "192 MiB": 192 << 20}
    triads = ", ".join(f"{label} {triad_rate(size, threads) / 1e9:.0f}" for label, size in sizes.items())
    reads = ", ".join(f"{read_rate(size, threads) / 1e9:.0f}" for size in sizes.values())
    return (
        f"Limits with {threads} threads: triad GB/s {triads}; reading {reads};\n{fma_rate(threads) / 1e9:.1f} G "
        f"multiply-adds/s, {integer_rate(threads) / 1e9:.1f} G of int32 and {divide_rate(threads) / 1e9:.2f} G "
        f"divisions/s, each of {_C.limits_lanes()} float32 lanes;\nempty call "
        f"{empty_call_seconds(1) * 1e6:.2f} us (1 thread), {empty_call_seconds(threads) * 1e6:.2f} us ({threads})"
    )
