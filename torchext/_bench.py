"""The engine of `python -m torchext bench`: every operator against torch, torch.compile and the machine's limit.

The rows come from the registry. Within a cell (operator, case, dtype, size) the candidates run in turns, in an order
that reverses every round, so that noise and clock changes hit all alike. A sample is a loop of 2 ms or more: what one
call finds in the caches and on the heap should be what the same candidate left, not another one. Reported are medians
over the rounds, and the spread: the largest interquartile range of the cell over its median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from torchext import _bench_limits, _bench_report, _registry
from torchext._progress import Progress

SAMPLE_SECONDS = 2e-3
CELL_SECONDS = 1.0  # rounds are cut, not below 5, when a cell would take longer
SIZES = "64,4096,65536,1048576"
NORMALIZED = ((1024, 384), (1024, 768), (4096, 4096), (2048, 50))
SHAPES = ((128, 128), (4096, 4096), (8192, 50), (32, 32000))  # (1024, 1024) is among the sizes


@dataclass
class Cell:
    """One line of the table. Seconds are medians per call; a candidate that was not asked for is missing."""

    name: str
    family: str
    label: str
    dtype: torch.dtype
    elements: int
    function: Callable[..., Any]
    original: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    spread: float = 0.0
    limit: float = 0.0
    agrees: bool = True
    on_grid: bool = False  # one of SHAPES

    def ratio(self, other: str) -> float | None:
        """Time of "torch" or "compile" over the time of torchext: above 1, torchext is faster."""
        return self.seconds[other] / self.seconds["torchext"] if other in self.seconds else None


Group = tuple[_registry.Row, torch.dtype, int | tuple[int, int]]  # the last: a size, or a shape of the softmax grid


def groups(rows: list[_registry.Row], sizes: list[int], dtypes: list[torch.dtype], grid: bool) -> Iterator[Group]:
    """What is built and measured together; with `grid`, also the shapes of SHAPES."""
    for row in rows:
        for dtype in dtypes:
            yield from ((row, dtype, size) for size in sizes)
            if grid and (row.family in ("softmax", "reduction") or row.name == "cross_entropy"):
                yield from ((row, dtype, shape) for shape in SHAPES)
            if grid and row.family == "normalization":
                yield from ((row, dtype, shape) for shape in NORMALIZED)


def cells(row: _registry.Row, dtype: torch.dtype, size: int | tuple[int, int]) -> Iterator[Cell]:
    """Built one group at a time: the inputs of a whole run would not fit in memory."""
    if isinstance(size, tuple):
        x, shape = torch.randn(size).to(dtype), f"({size[0]},{size[1]})"
        calls: dict[str, tuple[Any, ...]] = {f"{shape} dim {dim}": (x, dim) for dim in (0, 1)}
        if row.family == "loss":
            calls = {shape: (x, torch.randint(size[1], size[:1]))}
        if row.family == "normalization":
            weights = tuple(torch.rand(size[1]).to(dtype) for _ in range(2 if row.name == "layer_norm" else 1))
            calls = {shape: (x, size[1:], *weights)}
        for label, args in calls.items():
            cell = Cell(row.name, row.family, label, dtype, x.numel(), row.function, row.original, args)
            cell.on_grid = True
            yield cell
    else:
        for case in row.bench_inputs(size, dtype):
            yield Cell(
                row.name, row.family, case.label, dtype, size, row.function, row.original, case.args, dict(case.kwargs)
            )


def _timer(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], backward: bool) -> timeit.Timer:
    """A timer of `function(*args, **kwargs)` written out, so that the loop adds no unpacking of arguments."""
    names: dict[str, Any] = {"function": function}
    names |= {f"a{i}": value for i, value in enumerate(args)} | {f"k_{key}": value for key, value in kwargs.items()}
    call = ", ".join([*(f"a{i}" for i in range(len(args))), *(f"{key}=k_{key}" for key in kwargs)])
    statement = f"function({call})"
    if backward:
        out = function(*args, **kwargs)
        if isinstance(out, tuple):
            out, statement = out[0], statement + "[0]"
        names |= {"grad": torch.autograd.grad, "inputs": differentiable(args), "grad_output": torch.ones_like(out)}
        statement = f"grad({statement}, inputs, grad_output)"
    return timeit.Timer(statement, globals=names)


def differentiable(args: tuple[Any, ...]) -> list[Tensor]:
    return [a for a in args if isinstance(a, Tensor) and a.requires_grad]


def needs_gradient(cell: Cell, position: int) -> bool:
    """Of a loss, the first argument alone: nobody trains targets."""
    return position == 0 or cell.family != "loss"


def _compiled(cell: Cell) -> Callable[..., Any]:
    """The original under torch.compile. A fresh function and a reset: old guards would count against the new cell."""
    torch._dynamo.reset()
    original = cell.original

    def function(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **kwargs)

    return torch.compile(function, dynamic=False)


def _first(out: Any) -> Tensor:
    """The values of a pair of values and indices."""
    result: Tensor = out[0] if isinstance(out, tuple) else out
    return result.detach()


def _agree(a: Tensor, b: Tensor) -> bool:
    """Loosely: a benchmark of wrong results is worthless, accuracy itself is the tests' matter."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    tolerance = 1e-3 if a.dtype.itemsize > 2 else 2e-2
    return torch.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def interleave(
    timers: dict[str, timeit.Timer], repeats: int, limits: Sequence[_bench_limits.Limit]
) -> tuple[dict[str, list[float]], list[float]]:
    """Seconds per call of each timer, one sample per round, and those of the limits together."""
    loops: dict[str, int] = {}
    round_seconds = 0.0
    for name, timer in timers.items():
        timer.timeit(1)  # compiles, allocates, wakes threads
        count = 1
        while (took := timer.timeit(count)) < SAMPLE_SECONDS:
            count = max(count * 2, int(1.2 * count * SAMPLE_SECONDS / took))
        loops[name] = count
        round_seconds += took
    rounds = max(5, min(repeats, int(CELL_SECONDS / round_seconds)))
    samples: dict[str, list[float]] = {name: [] for name in timers}
    order = list(timers)
    at_limit: list[float] = []
    for _ in range(rounds):
        for name in order:
            samples[name].append(timers[name].timeit(loops[name]) / loops[name])
        order.reverse()
        at_limit.append(_bench_limits.together(limits))
    return samples, at_limit


def spread(values: list[float]) -> float:
    """Interquartile range over the median."""
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def measure(cell: Cell, compile_too: bool, backward: bool, repeats: int) -> None:
    """Fills in seconds, spread, limit and agrees."""
    args = cell.args
    if backward:
        args = tuple(
            a.detach().clone().requires_grad_(needs_gradient(cell, i))
            if isinstance(a, Tensor) and a.is_floating_point()
            else a
            for i, a in enumerate(args)
        )
    expected = _first(cell.original(*args, **cell.kwargs))
    found = _first(cell.function(*args, **cell.kwargs))
    if cell.family == "dropout":  # random numbers of its own
        expected, found = expected.isnan(), found.isnan()
    cell.agrees = _agree(expected, found)
    candidates = {"torch": cell.original, "torchext": cell.function}
    if compile_too:
        candidates["compile"] = _compiled(cell)
    timers = {name: _timer(function, args, cell.kwargs, backward) for name, function in candidates.items()}
    samples, at_limit = interleave(timers, repeats, _limits(cell, args, expected, backward))
    _set_times(cell, samples, at_limit)


def _set_times(cell: Cell, samples: dict[str, list[float]], at_limit: list[float]) -> None:
    cell.seconds = {name: statistics.median(values) for name, values in samples.items()}
    cell.spread = max(spread(values) for values in samples.values())
    cell.limit = statistics.median(at_limit)


def _limits(cell: Cell, args: tuple[Any, ...], out: Tensor, backward: bool) -> list[_bench_limits.Limit]:
    """A backward call reads grad_output and what was saved, and writes the gradients: as much as the inputs, both."""
    inputs = _bench_limits.tensor_bytes(*(a for a in args if isinstance(a, Tensor)))
    elements = max(out.numel(), args[0].numel())  # of a reduction, the input's
    if cell.name == "linear_cross_entropy":  # logits; the products are the library's, and as many as without us
        elements = args[0].shape[0] * args[1].shape[0]
    if cell.family == "product":  # multiply-adds
        elements = out.numel() * args[1 if "add" in cell.name else 0].shape[-1]
    if cell.name == "nll_loss":  # a cache line of each row
        inputs = min(inputs, 64 * args[1].numel() + _bench_limits.tensor_bytes(args[1]))
    output = _bench_limits.tensor_bytes(out) if cell.family != "dropout" else inputs
    if cell.name == "bernoulli_":  # writes alone
        inputs = 0
    variant = _bench_limits.variant(cell.name, cell.kwargs)
    work = _bench_limits.FORWARD.get(variant)
    limits = [_bench_limits.limit(inputs + output, elements, args[0].dtype, work, output)]
    if backward:
        gradients = _bench_limits.tensor_bytes(*differentiable(args))
        if cell.name == "nll_loss":  # its gradient is made from the targets alone
            inputs = _bench_limits.tensor_bytes(args[1])
        moved = output + (inputs if cell.family != "arithmetic" else 0) + gradients
        if cell.family == "dropout":  # a byte of the mask, written and read
            moved += out.numel() * 2 - inputs
        backwards = _bench_limits.limit(moved, elements, args[0].dtype, _bench_limits.BACKWARD.get(variant))
        limits.append(backwards._replace(fixed=backwards.fixed + _bench_limits.engine_seconds()))
    return limits


def chain(sizes: list[int], dtypes: list[torch.dtype], repeats: int) -> list[Cell]:
    """relu(x*w + b).tanh().sum() compiled with our operators ("torchext") and compiled stock ("compile").

    An operator that the compiler cannot see into loses its fusion: this is the price it must earn back.
    """
    import torchext

    def stock(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.tanh(torch.relu(x * w + b)).sum()

    def ours(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torchext.tanh(torchext.relu(torchext.add(torchext.mul(x, w), b))).sum()

    results = []
    progress = Progress(len(sizes) * len(dtypes))
    for dtype in dtypes:
        for size in sizes:
            torch._dynamo.reset()
            columns = min(size, 256)
            args = (torch.randn(size // columns, columns).to(dtype), *torch.randn(2, columns).to(dtype))
            cell = Cell("chain", "chain", "relu(x*w+b).tanh", dtype, size, ours, stock, args)
            candidates = {
                "torch": stock,
                "compile": torch.compile(stock, dynamic=False),
                "torchext": torch.compile(ours, dynamic=False),
            }
            timers = {name: _timer(function, args, {}, False) for name, function in candidates.items()}
            # The compiled chain reads x once and writes a scalar.
            limits = [_bench_limits.limit(_bench_limits.tensor_bytes(*args), size, dtype, None, 4)]
            _set_times(cell, *interleave(timers, repeats, limits))
            cell.agrees = _agree(stock(*args), candidates["torchext"](*args))
            results.append(cell)
            progress.show(len(results), f"chain {dtype} {size}")
    return results


def main(arguments: argparse.Namespace) -> int:
    sizes, dtypes = arguments.sizes, arguments.dtypes
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print(_bench_report.head())
    print(_bench_limits.describe() + "\n", flush=True)
    if arguments.what == "chain":
        results = chain(sizes or [65536, 1048576], dtypes, arguments.repeats)
    else:
        if arguments.backward:
            dtypes = [dtype for dtype in dtypes if dtype.is_floating_point]
        rows = [row for row in _select(arguments.only) if row.differentiable or not arguments.backward]
        plan = list(groups(rows, sizes or _numbers(SIZES), dtypes, grid=sizes is None))
        progress = Progress(len(plan))
        results = []
        for done, group in enumerate(plan, 1):
            for cell in cells(*group):
                measure(cell, arguments.compile, arguments.backward, arguments.repeats)
                cell.args = ()  # frees the inputs
                results.append(cell)
            progress.show(done, f"{done}/{len(plan)} {group[0].name} {group[1]} {group[2]}")
    print(_bench_report.table(results, arguments.backward))
    if arguments.json:
        _bench_report.write_json(arguments.json, results, arguments.backward)
    wrong = sorted({cell.name for cell in results if not cell.agrees})
    if wrong:
        print(f"The results of torch and torchext differ: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


def _select(names: list[str] | None) -> list[_registry.Row]:
    rows = list(_registry.rows())
    valid = sorted({row.name for row in rows})
    unknown = sorted(set(names or ()) - set(valid))
    if unknown:
        raise SystemExit(f"--only: unknown operator {', '.join(unknown)}; expected one of {', '.join(valid)}")
    return [row for row in rows if not names or row.name in names]


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _numbers(text: str) -> list[int]:
    values = [int(value) for value in text.split(",")]
    if min(values) < 1:
        raise argparse.ArgumentTypeError(f"expected positive numbers, got {text}")
    return values


def _dtypes(text: str) -> list[torch.dtype]:
    values = [getattr(torch, name, None) for name in text.split(",")]
    if not all(isinstance(value, torch.dtype) for value in values):
        raise argparse.ArgumentTypeError(f"expected names of dtypes such as float32,bfloat16, got {text}")
    return values  # type: ignore[return-value]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", choices=("operators", "chain"), default="operators", help="default operators"
    )
    parser.add_argument("--only", type=_names, metavar="NAMES", help="these operators, e.g. tanh,gelu")
    parser.add_argument("--sizes", type=_numbers, help=f"default {SIZES} and the softmax shapes")
    parser.add_argument("--dtypes", type=_dtypes, default=[torch.float32], help="default float32")
    parser.add_argument("--backward", action="store_true", help="time forward and backward together")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave out torch.compile (slow)")
    parser.add_argument("--threads", type=int, metavar="N", help="torch.set_num_threads(N); default torch's own")
    parser.add_argument("--repeats", type=int, default=21, help="rounds per cell, default 21")
    parser.add_argument("--json", metavar="FILE", help="also write every cell here")
