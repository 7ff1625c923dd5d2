"""The list of drop-in functions. Tests, benchmarks, documentation and patching take their rows from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class Case(NamedTuple):
    """One call to measure."""

    label: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


Inputs = Callable[[int, torch.dtype], list[Case]]


@dataclass(frozen=True)
class Row:
    """One drop-in function.

    Attributes:
        name: its name in torchext.
        function: ours.
        original: what it replaces; same signature, same meaning.
        aten_overloads: the ATen operators it stands for, ``"gelu"`` or ``"add.Tensor"``.
        family: ``"arithmetic"``, ``"activation"``, ``"softmax"``, ``"reduction"``, ``"loss"``, ``"normalization"``,
            ``"dropout"`` or ``"product"``.
        opinfo: name of PyTorch's own test description (``op_db``), or None where there is none.
        bench_inputs: calls to measure, for about n elements of a dtype.
        counters: decision points that count its forward calls.
        differentiable: whether forward + backward is measured.
        random: whether it draws random numbers, others than torch for the same seed.
        redirected: whether patch() redirects ``original`` although kernels of ATen are overridden for the row, too:
            they serve other callers.
    """

    name: str
    function: Callable[..., Any]
    original: Callable[..., Any]
    aten_overloads: tuple[str, ...]
    family: str
    opinfo: str | None
    bench_inputs: Inputs
    counters: tuple[str, ...] = field(default=())
    differentiable: bool = True
    random: bool = False
    redirected: bool = False


_rows: dict[str, Row] = {}


def flat(n: int, dtype: torch.dtype) -> list[Case]:
    """One flat tensor of n normally distributed elements."""
    return [Case("flat", (torch.randn(n).to(dtype),), {})]


def operands(n: int, dtype: torch.dtype) -> list[Case]:
    """Two tensors of n elements, a number, and both directions of broadcasting; divisors are away from zero."""
    columns = max(1, 2 ** (n.bit_length() // 2))
    shape = (n // columns, columns)
    divisor = (torch.rand(shape) + 0.5).to(dtype)
    a = torch.randn(shape).to(dtype)
    return [
        Case("flat", (a.flatten(), divisor.flatten()), {}),
        Case("scalar", (a.flatten(), 1.5), {}),
        Case("row", (a, divisor[0].clone()), {}),
        Case("column", (a, divisor[:, :1].clone()), {}),
    ]


def triple(n: int, dtype: torch.dtype) -> list[Case]:
    """Three flat tensors of n elements."""
    return [Case("flat", tuple(torch.randn(n).to(dtype) for _ in range(3)), {})]


def matrices(n: int, dtype: torch.dtype) -> list[Case]:
    """A square matrix of about n elements, along either dimension."""
    side = max(1, round(n**0.5))
    matrix = torch.randn(side, side).to(dtype)
    return [Case(f"({side},{side}) dim {dim}", (matrix, dim), {}) for dim in (0, 1)]


def reductions(n: int, dtype: torch.dtype) -> list[Case]:
    """A square matrix of about n elements, as a whole and along either dimension."""
    whole, *along = matrices(n, dtype)[:1] + matrices(n, dtype)
    return [Case("whole", whole.args[:1], {}), *along]


def gelus(n: int, dtype: torch.dtype) -> list[Case]:
    """Both forms of gelu."""
    x = torch.randn(n).to(dtype)
    return [Case("none", (x,), {}), Case("tanh", (x,), {"approximate": "tanh"})]


def pairs(n: int, dtype: torch.dtype) -> list[Case]:
    """Input and target of n normally distributed elements."""
    return [Case("flat", (torch.randn(n).to(dtype), torch.randn(n).to(dtype)), {})]


def logits(n: int, dtype: torch.dtype) -> list[Case]:
    """n logits and labels, 0 or 1."""
    return [Case("flat", (torch.randn(n).to(dtype), torch.randint(2, (n,)).to(dtype)), {})]


def probabilities(n: int, dtype: torch.dtype) -> list[Case]:
    """n probabilities and labels, 0 or 1."""
    return [Case("flat", (torch.rand(n).to(dtype), torch.randint(2, (n,)).to(dtype)), {})]


def class_indices(n: int, dtype: torch.dtype) -> list[Case]:
    """A square matrix of about n elements and one class per row; the same of 50 classes."""
    side = max(1, round(n**0.5))
    shapes = dict.fromkeys([(side, side), (max(1, n // 50), min(n, 50))])
    return [
        Case(f"({rows},{classes})", (torch.randn(rows, classes).to(dtype), torch.randint(classes, (rows,))), {})
        for rows, classes in shapes
    ]


def linear_classes(n: int, dtype: torch.dtype) -> list[Case]:
    """Rows of a quarter as many features as classes, about n logits in all."""
    side = max(1, round(n**0.5))
    features = max(1, side // 4)
    x, weight = torch.randn(side, features).to(dtype), (torch.randn(side, features) / features**0.5).to(dtype)
    return [Case(f"({side},{features},{side})", (x, weight, torch.randint(side, (side,))), {})]


def scaled(n: int, dtype: torch.dtype) -> list[Case]:
    """A square matrix of about n elements, normalised along rows, with weights; the same of 50 columns."""
    side = max(1, round(n**0.5))
    shapes = dict.fromkeys([(side, side), (max(1, n // 50), min(n, 50))])
    return [
        Case(f"({rows},{size})", (torch.randn(rows, size).to(dtype), (size,), torch.rand(size).to(dtype) + 0.5), {})
        for rows, size in shapes
    ]


def normalized(n: int, dtype: torch.dtype) -> list[Case]:
    """The same with a bias."""
    return [Case(label, (*args, torch.randn(args[1]).to(dtype)), kwargs) for label, args, kwargs in scaled(n, dtype)]


def products(n: int, dtype: torch.dtype) -> list[Case]:
    """Two square matrices of about n elements, at most 2048 x 2048, and the second one transposed."""
    side = min(max(1, round(n**0.5)), 2048)
    a, b = torch.randn(side, side).to(dtype), torch.randn(side, side).to(dtype)
    return [Case(f"({side},{side})", (a, b), {}), Case(f"({side},{side}).T", (a, b.t()), {})]


def stacked_products(n: int, dtype: torch.dtype) -> list[Case]:
    """A batch of four matrices by one, and by four; about n elements in all."""
    (a, b), *_ = (case.args for case in products(max(1, n // 4), dtype))
    stack = a.expand(4, *a.shape).contiguous()
    return [Case(f"4 ({len(a)},{len(a)}) x {count}", (stack, other), {}) for count, other in ((1, b), (4, stack))]


def added_products(n: int, dtype: torch.dtype) -> list[Case]:
    """The same, added to one row."""
    return [Case(case.label, (case.args[0][0].clone(), *case.args), {}) for case in products(n, dtype)]


def batched_products(n: int, dtype: torch.dtype) -> list[Case]:
    """Four of a quarter of the elements each."""
    cases = products(max(1, n // 4), dtype)
    return [Case(f"4 {c.label}", tuple(x.expand(4, *x.shape).contiguous() for x in c.args), {}) for c in cases[:1]]


def added_batched_products(n: int, dtype: torch.dtype) -> list[Case]:
    """The same, added to one row."""
    return [Case(case.label, (case.args[0][0, 0].clone(), *case.args), {}) for case in batched_products(n, dtype)]


def linears(n: int, dtype: torch.dtype) -> list[Case]:
    """A square matrix of about n elements through a square weight, with a bias."""
    (x, weight), *_ = (case.args for case in products(n, dtype))
    return [Case(f"({len(x)},{len(x)})", (x, weight, weight[0].clone()), {})]


def drop_in(
    original: Callable[..., Any],
    *,
    aten_overloads: tuple[str, ...],
    family: str,
    opinfo: str | None = None,
    bench_inputs: Inputs = flat,
    counters: tuple[str, ...] = (),
    differentiable: bool = True,
    random: bool = False,
    redirected: bool = False,
) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Registers the function below as the replacement of ``original``; see :class:`Row`. Returns it as it is."""

    def register(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        name = function.__name__
        _rows[name] = Row(
            name, function, original, aten_overloads, family, opinfo, bench_inputs, counters or (name,),
            differentiable, random, redirected,
        )  # fmt: skip
        return function

    return register


def rows() -> tuple[Row, ...]:
    """All rows, in the order of their definition."""
    import torchext.functional  # noqa: F401  (defines them)

    return tuple(_rows.values())
