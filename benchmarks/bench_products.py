"""Products of matrices against torch and the machine's limits: python benchmarks/bench_products.py [group ...]

Each product is timed as torch does it, as torch does it with torchext's pool installed (its results then cost no page
faults), with --compile by torch.compile, and by torchext, pooled too; in turns, whose order reverses every round.
"limit" is the time that the product cannot go below: its multiply-adds, and the arithmetic of an activation, at the
rate of a loop of them, or its bytes at the rate of the triad, or of reading alone where next to nothing is written,
over torchext's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import timeit
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.nn.functional import gelu, linear, linear_cross_entropy

import torchext
from torchext import _bench_limits
from torchext._bench_report import geometric_mean

# rows, k, columns. The last letters of a label: N as it is, T a transposed view.
TRAINING = ((1024, 384, 1536), (1024, 1536, 384), (512, 768, 3072), (1024, 384, 50257))
SQUARES = (1024, 2048)
SMALL = (16, 32, 64, 128)
Call = Callable[[], Any]


class Product(NamedTuple):
    label: str
    stock: Call
    own: Call
    work: int  # multiply-adds
    moved: int  # bytes, read and written
    written: int
    dtype: torch.dtype = torch.float32
    activation: int = 0  # arithmetic beside the multiply-adds, on the same units


def operand(rows: int, columns: int, turned: bool, dtype: torch.dtype) -> torch.Tensor:
    shape = (columns, rows) if turned else (rows, columns)
    x = torch.randn(shape).to(dtype) if dtype.is_floating_point else torch.randint(-9, 9, shape, dtype=dtype)
    return x.t() if turned else x


def product(rows: int, k: int, columns: int, layout: str = "NN", dtype: torch.dtype = torch.float32) -> Product:
    a, b = operand(rows, k, layout[0] == "T", dtype), operand(k, columns, layout[1] == "T", dtype)
    written = rows * columns * a.itemsize
    moved = a.nbytes + b.nbytes + written
    label = f"({rows},{k})x({k},{columns}) {layout}"
    return Product(label, lambda: torch.mm(a, b), lambda: torchext.mm(a, b), rows * k * columns, moved, written, dtype)


def training_layouts(rows: int, k: int, columns: int) -> list[Product]:
    """Forward x w^T, and its gradients g w and g^T x."""
    return [
        product(rows, k, columns, "NT"),
        product(rows, columns, k, "NN"),
        product(columns, rows, k, "TN"),
    ]


def batched(count: int, rows: int, k: int, columns: int, layout: str = "NN") -> Product:
    a = torch.randn(count, k, rows).mT if layout[0] == "T" else torch.randn(count, rows, k)
    b = torch.randn(count, columns, k).mT if layout[1] == "T" else torch.randn(count, k, columns)
    written = count * rows * columns * 4
    moved = a.nbytes + b.nbytes + written
    label = f"{count} x ({rows},{k})x({k},{columns}) {layout}"
    work = count * rows * k * columns
    return Product(label, lambda: torch.bmm(a, b), lambda: torchext.bmm(a, b), work, moved, written)


def linears(rows: int, k: int, columns: int) -> list[Product]:
    """gelu(linear(x)), and forward with backward."""
    x, w, b = torch.randn(rows, k), torch.randn(columns, k) / k**0.5, torch.randn(columns)
    leaves = [x.clone().requires_grad_(), w.clone().requires_grad_(), b.clone().requires_grad_()]
    grad_output = torch.randn(rows, columns)

    def both(function: Callable[..., torch.Tensor]) -> Call:
        return lambda: torch.autograd.grad(function(*leaves), leaves, grad_output)

    def stock(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return gelu(linear(x, w, b))

    def ours(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torchext.linear_act(x, w, b, "gelu")

    work, written, label = rows * k * columns, grad_output.nbytes, f"({rows},{k},{columns})"
    moved = x.nbytes + w.nbytes + written
    forward, backward = (
        table["gelu"].arithmetic * rows * columns for table in (_bench_limits.FORWARD, _bench_limits.BACKWARD)
    )
    return [
        Product(
            f"linear + gelu {label}",
            lambda: stock(x, w, b),
            lambda: ours(x, w, b),
            work,
            moved,
            written,
            activation=forward,
        ),
        Product(
            f"  and its backward {label}",
            both(stock),
            both(ours),
            3 * work,
            3 * moved,
            3 * written,
            activation=forward + backward,
        ),
    ]


def entropies(rows: int, k: int, classes: int) -> list[Product]:
    """linear_cross_entropy, forward and backward, over torch's and over our own loss of all logits at once."""
    x, w = torch.randn(rows, k, requires_grad=True), (torch.randn(classes, k) / k**0.5).requires_grad_()
    target = torch.randint(classes, (rows,))

    def both(function: Callable[..., torch.Tensor]) -> Call:
        return lambda: torch.autograd.grad(function(x, w, target), [x, w])

    def whole(x: torch.Tensor, w: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torchext.cross_entropy(torchext.linear(x, w), target)

    own, work, written = both(torchext.linear_cross_entropy), 3 * rows * k * classes, x.nbytes + w.nbytes
    label = f"({rows},{k},{classes})"
    return [
        Product(f"linear_cross_entropy {label}", both(linear_cross_entropy), own, work, 2 * written, written),
        Product("  over cross_entropy(linear(x))", both(whole), own, work, 2 * written, written),
    ]


def groups() -> dict[str, list[Callable[[], list[Product]]]]:
    """What to measure, built one at a time."""
    few = [(rows, k, columns) for k, columns in ((768, 3072), (3072, 768)) for rows in (1, 2, 4, 5, 8, 16, 32)]
    return {
        "squares": [lambda n=n, o=o: [product(n, n, n, o)] for n in SQUARES for o in ("NN", "NT", "TN")],
        "training": [lambda s=s: training_layouts(*s) for s in TRAINING],
        "small": [lambda n=n, o=o: [product(n, n, n, o)] for n in SMALL for o in ("NN", "NT", "TN")],
        "middle": [
            lambda n=n, o=o: [product(n, n, n, o)] for n in (96, 192, 256, 384, 512) for o in ("NN", "NT", "TN")
        ],
        "few": [
            lambda s=s, o=o: [product(*s, o)] for s in (*few, (1, 4096, 1000), (1, 20000, 500)) for o in ("NN", "NT")
        ]
        + [lambda s=s: [product(s[2], s[1], s[0], "NN")] for s in few],
        "thin": [
            lambda s=s, o=o: [product(*s, o)]
            for s in ((2000, 3, 64), (512, 3072, 768), (4096, 64, 64), (64, 4096, 64), (1024, 16, 1024), (50, 700, 50))
            for o in ("NN", "NT", "TN")
        ],
        "batches": [
            lambda o=o, s=s: [batched(*s, o)]
            for s in ((48, 256, 64, 256), (48, 256, 256, 64), (512, 16, 16, 16), (64, 64, 64, 64), (8, 512, 512, 512))
            for o in ("NN", "NT", "TN")
        ],
        "linear": [lambda: linears(1024, 384, 1536), lambda: linears(512, 768, 3072), lambda: linears(64, 64, 64)],
        "entropy": [lambda: entropies(1024, 384, 50257)],
        "double": [
            lambda s=s, o=o: [product(*s, o, dtype=torch.float64)]
            for s in ((512, 512, 512), (1024, 1024, 1024), *((n, n, n) for n in (16, 64, 128, 192, 256)))
            for o in ("NN", "NT", "TN")
        ]
        + [
            lambda s=s, o=o: [product(*s, o, dtype=torch.float64)]
            for s in (
                (1, 768, 3072),
                (4, 768, 3072),
                (16, 3072, 768),
                (32, 3072, 768),
                (32, 768, 3072),
                (384, 1024, 1536),
            )
            for o in ("NN", "NT")
        ],
        "integers": [
            lambda n=n, d=d, o=o: [product(n, n, n, o, d)]
            for d in (torch.int32, torch.int64, torch.int8)
            for n in (64, 512)
            for o in ("NN", "NT")
        ],
        "half": [
            lambda s=s, o=o, dtype=dtype: [product(*s, o, dtype=dtype)]
            for dtype in (torch.bfloat16, torch.float16)
            for s in ((1024, 1024, 1024), (1024, 384, 1536), (64, 64, 64), (16, 16, 16), (8, 768, 3072), (1, 768, 3072))
            for o in ("NN", "NT")
        ],
    }


class Measured(NamedTuple):
    """Median seconds of each candidate, the spread of torchext's, and the limit."""

    seconds: dict[str, float]  # torch, pooled, compile, torchext
    spread: float
    limit: float


def measure(entry: Product, rounds: int, seconds: float, with_compile: bool) -> Measured:
    timers = {name: timeit.Timer(entry.stock) for name in ("torch", "pooled")}
    if with_compile:
        torch.compiler.reset()  # each product is a program of its own
        compiled = torch.compile(entry.stock, dynamic=False)
        compiled()
        timers["compile"] = timeit.Timer(compiled)
    timers["torchext"] = timeit.Timer(entry.own)

    def enter(name: str) -> None:
        torchext.memory.uninstall()
        if name in ("pooled", "torchext"):
            torchext.memory.install()

    samples: dict[str, list[float]] = {name: [] for name in timers}
    once = max(timers["torchext"].timeit(2) / 2, timers["torch"].timeit(2) / 2)
    count = max(1, int(seconds / rounds / 3 / once))
    order = list(timers)
    work, arithmetic = _bench_limits.FORWARD["mm"], entry.work + entry.activation
    limit, at_limit = _bench_limits.limit(entry.moved, arithmetic, entry.dtype, work, entry.written), []
    for _ in range(rounds):
        for name in order:
            enter(name)
            timers[name].timeit(1)
            samples[name].append(timers[name].timeit(count) / count)
        order.reverse()
        at_limit.append(_bench_limits.together([limit]))
    torchext.memory.uninstall()
    medians = {name: statistics.median(values) for name, values in samples.items()}
    return Measured(medians, _spread(samples["torchext"]), statistics.median(at_limit))


def _spread(values: list[float]) -> float:
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = groups()
    parser.add_argument("groups", nargs="*", help=f"default all of {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.6, help="for each product, default 0.6")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--compile", action="store_true", help="also what torch.compile makes of torch's call")
    options = parser.parse_args()
    if unknown := [name for name in options.groups if name not in known]:
        parser.error(f"unknown groups: {', '.join(unknown)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    print(f"torchext {torchext.__version__} ({torchext.isa.current()}), torch {torch.__version__}, {threads} threads")
    print(_bench_limits.describe(), flush=True)
    others = ["torch", "pooled", *(["compile"] if options.compile else [])]
    times = "".join(f" {name + ' us' if name == 'torch' else name:>9}" for name in [*others, "torchext"])
    print(f"{'product':34}{times} spread GFLOP/s {' '.join(f'{name}/' for name in others)} limit")
    for name in options.groups or known:
        ratios: list[list[float]] = []
        print(f"{name}")
        for build in known[name]:
            for entry in build():
                seconds, spread, limit = measure(entry, options.rounds, options.seconds, options.compile)
                own = seconds["torchext"]
                ratios.append([seconds[other] / own for other in others])
                print(
                    f"{entry.label:34}{''.join(f' {value * 1e6:9.1f}' for value in seconds.values())} {spread:6.0%} "
                    f"{2 * entry.work / own / 1e9:7.1f}{''.join(f' {ratio:7.2f}' for ratio in ratios[-1])} "
                    f"{limit / own:5.0%}{'  LOSES' if min(ratios[-1][1:]) < 0.95 else ''}",
                    flush=True,
                )
        means = zip(others, (geometric_mean(values) for values in zip(*ratios, strict=True)), strict=True)
        print(f"{name}: geometric mean {', '.join(f'{mean:.2f} over {other}' for other, mean in means)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
