"""The machine's limits, measured in the same run as the operators: what no implementation can go below.

limit = max(bytes that must move / bandwidth, vector arithmetic / its rate, divisions / their rate)
        + the call of an empty kernel (backward: + the engine's way to an empty node)

The bandwidth is that of a triad with the footprint and the number of threads of the operation, in the faster of its two
forms: ordinary stores (wins in cache) or streaming stores (wins in memory). Where next to nothing is written, it is
that of reading alone, in the fastest of three ways: each of two arrays from end to end, or at two or four places, 2 KiB
at each in turn. The triad has huge pages, as the pool's results have; what is read, those that torch itself allocates
its tensors on. The limit is taken for one thread and for all of them, the empty call including the waking of those
threads, and the smaller time counts. A limit above 50 us is measured again in every round, in turns with the
candidates, and its median counts as theirs do: on a machine that others use, the best moment of a run is nobody's.
"""

from __future__ import annotations

import functools
import math
import timeit
from collections.abc import Callable, Sequence
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


class Rate(NamedTuple):
    """How much of something the machine does in a second."""

    best: float
    probe: Callable[[int], float]  # measures it until so many repeats bring nothing better


def _rate(*probes: Callable[[int], float]) -> Rate:
    """The fastest of several ways."""
    return max((Rate(probe(30), probe) for probe in probes), key=lambda rate: rate.best)


@functools.cache
def fma_rate(threads: int) -> Rate:
    return _rate(lambda repeats: _C.limits_fma(threads, repeats))


@functools.cache
def divide_rate(threads: int) -> Rate:
    return _rate(lambda repeats: _C.limits_divide(threads, repeats))


@functools.cache
def integer_rate(threads: int) -> Rate:
    return _rate(lambda repeats: _C.limits_integer(threads, repeats))


@functools.cache
def _bandwidth(half_octave: int, threads: int, reads_only: bool) -> Rate:
    footprint = round(2 ** (half_octave / 2))
    if reads_only:  # two arrays of float32
        read = functools.partial(_C.limits_read, max(64, footprint // 8), threads)
        return _rate(*(functools.partial(read, streams, run) for streams, run in ((1, 128), (2, 512), (4, 512))))
    triad = functools.partial(_C.limits_triad, max(64, footprint // 12), threads)  # three of them
    return _rate(functools.partial(triad, False), functools.partial(triad, True))


def bandwidth(footprint: int, threads: int, reads_only: bool = False) -> Rate:
    """Bytes per second over `footprint` bytes (rounded to a factor of sqrt 2, so that few footprints are measured)."""
    return _bandwidth(round(2 * math.log2(max(footprint, 1))), threads, reads_only)


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


class Limit(NamedTuple):
    """What one operator call cannot go below: an amount at a rate of the machine, and what no rate changes."""

    amount: float
    rate: Rate
    fixed: float  # seconds

    @property
    def seconds(self) -> float:
        return self.amount / self.rate.best + self.fixed

    def now(self) -> float:
        """Seconds at the rate of this moment: others on the machine hit limits as they hit operators."""
        return self.amount / self.rate.probe(1) + self.fixed


def limit(footprint: int, elements: int, dtype: torch.dtype, work: Work | None, written: int | None = None) -> Limit:
    """The limit of one operator call that moves `footprint` bytes, of which it writes `written` (None: a good part);
    without `work`, of the movement alone."""
    lanes = _C.limits_lanes() // (2 if dtype.itemsize == 8 else 1)
    vectors = elements / lanes
    reads_only = written is not None and written <= footprint / 16
    arithmetic_rate = integer_rate if dtype == torch.int32 else fma_rate
    limits = []
    for threads in {1, torch.get_num_threads()}:
        bounds = [Limit(footprint, bandwidth(footprint, threads, reads_only), empty_call_seconds(threads))]
        if work is not None:
            for amount, rate in ((work.arithmetic, arithmetic_rate), (work.divisions, divide_rate)):
                bounds.append(Limit(vectors * amount, rate(threads), empty_call_seconds(threads)))
        limits.append(max(bounds, key=lambda bound: bound.seconds))
    return min(limits, key=lambda bound: bound.seconds)


# Limits from here on are measured in every round; below, that takes longer than all the rest of a cell.
_MEASURED_AGAIN = 5e-5


def together(limits: Sequence[Limit]) -> float:
    """Seconds of limits that one call has to keep, one after the other."""
    return sum(limit.now() if limit.seconds > _MEASURED_AGAIN else limit.seconds for limit in limits)


def describe() -> str:
    """One line per figure, for the head of the report."""
    threads = torch.get_num_threads()
    sizes = {"48 KiB": 48 << 10, "768 KiB": 768 << 10, "12 MiB": 12 << 20, "192 MiB": 192 << 20}
    triads = ", ".join(f"{label} {bandwidth(size, threads).best / 1e9:.0f}" for label, size in sizes.items())
    reads = ", ".join(f"{bandwidth(size, threads, True).best / 1e9:.0f}" for size in sizes.values())
    multiply_adds, integers, divisions = (rate(threads).best / 1e9 for rate in (fma_rate, integer_rate, divide_rate))
    return (
        f"Limits with {threads} threads: triad GB/s {triads}; reading {reads};\n{multiply_adds:.1f} G multiply-adds/s, "
        f"{integers:.1f} G of int32 and {divisions:.2f} G divisions/s, each of {_C.limits_lanes()} float32 lanes;\n"
        f"empty call {empty_call_seconds(1) * 1e6:.2f} us (1 thread), {empty_call_seconds(threads) * 1e6:.2f} us "
        f"({threads})"
    )
