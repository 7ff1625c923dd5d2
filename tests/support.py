"""What several tests share: rows, dtypes, PyTorch's own samples, reference values, and strict comparisons."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

import torchext
from torchext import _C
from torchext._registry import Row, rows

ALL_ROWS = rows()
# Reductions but logsumexp have tests of their own: test_reductions.py.
REDUCTIONS = tuple(row for row in ALL_ROWS if row.family == "reduction" and row.name != "logsumexp")
# What draws random numbers of its own cannot be compared with torch's: test_dropout.py.
# Nor do products have operands of one shape: test_products.py.
PRODUCTS = tuple(row for row in ALL_ROWS if row.family == "product")
ROWS = tuple(row for row in ALL_ROWS if row not in REDUCTIONS + PRODUCTS and row.family != "dropout")
ALL_NAMES = [row.name for row in ROWS]
# Losses of class indices: their second tensor is an integer one, of another shape. What the tests of NAMES have for the
# others, test_entropy.py has for them.
ENTROPY = ("cross_entropy", "nll_loss", "linear_cross_entropy")
# Their second argument is a shape. What the tests of NAMES have for the others, test_normalization.py has for them.
NORMALIZATIONS = tuple(row.name for row in ALL_ROWS if row.family == "normalization")
NAMES = [name for name in ALL_NAMES if name not in (*ENTROPY, *NORMALIZATIONS)]
FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
DTYPES = (*FLOATING, torch.int32, torch.int64)  # the six that are accelerated where torch has them
OTHER_DTYPES = (torch.bool, torch.int8, torch.uint8, torch.int16, torch.complex64, torch.complex128)

# OpInfos that describe a row which has none of its own.
STAND_INS = {"fused_multiply_add": "addcmul"}
# PyTorch describes torch.bernoulli, which takes a tensor of probabilities: test_bernoulli.py.
UNDESCRIBED = ("bernoulli_",)

# Largest error in units of the last place, in float32 and against float64: section 6 of the design. 0: the same bits as
# torch, whose arithmetic is exactly rounded. softmax: see `assert_matches`.
ULPS = {
    "relu": 0, "leaky_relu": 0, "tanh": 1, "sigmoid": 2, "softplus": 2, "elu": 2, "selu": 2, "softsign": 2, "gelu": 4,
    "silu": 4, "mish": 4, "softmax": 4, "log_softmax": 4, "logsumexp": 6,
    # A loss (csrc/kernels/losses.h), and 3 for a sum of terms that are not negative (csrc/kernels/summation.h).
    "mse_loss": 6, "l1_loss": 4, "smooth_l1_loss": 8, "huber_loss": 8, "binary_cross_entropy": 11,
    "binary_cross_entropy_with_logits": 9, "cross_entropy": 6, "nll_loss": 4, "linear_cross_entropy": 64,
    # Of the largest that is added and cancels, see `assert_matches`.
    "layer_norm": 8, "rms_norm": 6,
}  # fmt: skip


class Sample(NamedTuple):
    """One call."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def tensors(self) -> list[Tensor]:
        return [value for value in (*self.args, *self.kwargs.values()) if isinstance(value, Tensor)]

    def map(self, change: Callable[[Tensor], Any]) -> Sample:
        """The same call with every tensor changed."""

        def apply(value: Any) -> Any:
            return change(value) if isinstance(value, Tensor) else value

        return Sample(tuple(map(apply, self.args)), {name: apply(value) for name, value in self.kwargs.items()})

    def clone(self) -> Sample:
        """A copy that shares no memory; strides stay where they do not overlap."""
        return self.map(lambda tensor: tensor.detach().clone())


def tensor_count(name: str) -> int:
    """How many tensors a row takes; a loss counts as a function of its input, see `loss_arguments`."""
    return {"fused_multiply_add": 3, "add": 2, "sub": 2, "mul": 2, "div": 2}.get(name, 1)


def loss_arguments(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Input and target of a loss as a function of any ``x``: what shall be a probability is made one."""
    return (x.sigmoid() if name == "binary_cross_entropy" else x), torch.full_like(x, 0.3)


def takes_dim(row: Row) -> bool:
    """Whether the second argument is a dimension that must be given."""
    return row.family == "softmax" or row.name == "logsumexp"


def row_named(name: str) -> Row:
    return next(row for row in ALL_ROWS if row.name == name)


@cache
def opinfos(row: Row) -> tuple[Any, ...]:
    """PyTorch's own descriptions of the operator: one per variant (rounding modes, complex, dtype=)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    name = row.opinfo or STAND_INS[row.name]
    found = tuple(info for info in op_db if info.name == name)
    assert found, name
    return found


def supports(row: Row, dtype: torch.dtype) -> bool:
    """Whether torch's operator takes the dtype on the CPU without being told to cast it."""
    return any(dtype in info.supported_dtypes("cpu") for info in opinfos(row) if info.variant_test_name != "with_dtype")


def samples(row: Row, dtype: torch.dtype, method: str = "sample_inputs") -> Iterator[Sample]:
    """The calls that PyTorch tests its own operator with (``sample_inputs`` or ``reference_inputs``)."""
    for info in opinfos(row):
        if dtype not in info.supported_dtypes("cpu"):
            continue
        for found in getattr(info, method)("cpu", dtype, requires_grad=False):
            if row.name == "fused_multiply_add":
                if found.kwargs.get("value", 1) == 1:
                    yield Sample((*found.args, found.input), {})
            else:
                yield Sample((found.input, *found.args), dict(found.kwargs))


def taken(point: str, reason: str = "taken") -> int:
    """How often a decision point answered ``reason``: "taken", "dtype" and others of ops/counters.h, "isa:<name>"."""
    return _C.counters().get(point, {}).get(reason, 0)


def all_taken() -> int:
    return sum(counts["taken"] for counts in _C.counters().values())


@contextmanager
def streaming_above(limit: int) -> Iterator[None]:
    """What moves more than `limit` bytes goes around the caches, and what reads half of them is read as from memory."""
    usual = _C.memory.streaming_threshold()
    _C.memory.set_streaming_threshold(limit)
    try:
        yield
    finally:
        _C.memory.set_streaming_threshold(usual)


def fused(a: float, b: float, c: float, dtype: torch.dtype) -> float:
    """``a * b + c`` rounded once to float32 or float64, in exact arithmetic."""
    if not all(map(math.isfinite, (a, b, c))):
        return a * b + c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    nearest = torch.tensor(float(exact), dtype=dtype)
    if dtype == torch.float64:
        return nearest.item()
    # Rounded twice, so that the true result may be a neighbour; of two equally near ones, the even one.
    infinity = torch.tensor(torch.inf)
    candidates = [nearest, torch.nextafter(nearest, infinity), torch.nextafter(nearest, -infinity)]
    return min(candidates, key=lambda x: (abs(Fraction(x.item()) - exact), x.view(torch.int32).item() & 1)).item()


def reference(row: Row, sample: Sample) -> Tensor:
    """The result in float64, without the cancellation that PyTorch's own formula of gelu has in the negative tail."""
    wide = sample.map(lambda tensor: tensor if tensor.dtype == torch.int64 and row.name in ENTROPY else tensor.double())
    if row.name == "gelu":
        x = wide.args[0]
        if wide.kwargs.get("approximate", "none") == "none":
            return 0.5 * x * torch.erfc(-x * 0.5**0.5)
        # 0.5 (1 + tanh(u)) = sigmoid(2 u)
        return x * torch.sigmoid((8 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))
    if "dtype" in wide.kwargs:
        wide.kwargs["dtype"] = torch.float64
    return row.original(*wide.args, **wide.kwargs)


def units(actual: Tensor, expected: Tensor, smallest: float = 0.0) -> Tensor:
    """Distance from a float64 ``expected`` in units of the last place that ``actual``'s dtype has there, or at
    ``smallest`` where the result is smaller; equal NaN and infinities count as 0."""
    info = torch.finfo(actual.dtype)
    rounded = expected.to(actual.dtype)
    agree = (rounded == actual) | (rounded.isnan() & actual.isnan())
    magnitude = expected.abs().clamp(min=max(smallest, info.tiny), max=info.max)
    unit = torch.exp2(torch.floor(torch.log2(magnitude))) * info.eps
    return ((actual.double() - expected).abs() / unit).masked_fill(agree, 0).nan_to_num(nan=torch.inf)


def assert_units(actual: Tensor, expected: Tensor, bound: float, label: object = "", smallest: float = 0.0) -> None:
    """``actual`` is within ``bound`` units of a float64 result."""
    assert actual.shape == expected.shape, label
    if actual.numel() == 0:
        return
    distance = units(actual.detach(), expected.detach(), smallest).flatten()
    worst = int(distance.argmax())
    assert distance[worst] <= bound, (
        f"{label}: {distance[worst]:.2f} units > {bound}: got {actual.flatten()[worst]}, "
        f"expected {expected.flatten()[worst]}"
    )


def assert_tables_agree(name: str, isa: str, found: Tensor, expected: Tensor) -> None:
    """To the bit, but AVX2 computes the log(1 + e^x) of this loss in its own way (docs/decisions/0004): each errs by 6
    units of 2^-24 at most, and results of fewer bits are rounded."""
    if name == "binary_cross_entropy_with_logits" and isa == "avx2" and found.dtype != torch.float64:
        torch.testing.assert_close(found, expected, rtol=6 * torch.finfo(found.dtype).eps, atol=0)
    else:
        assert_same_bits(found, expected)


def assert_same_bits(actual: Tensor, expected: Tensor, label: object = "") -> None:
    """Equal dtype, shape, strides and elements: NaN equals NaN, 0.0 does not equal -0.0."""
    assert_same_form(actual, expected, label)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True, msg=lambda text: f"{label}: {text}")
    if actual.dtype.is_floating_point:
        differs = (torch.signbit(actual) != torch.signbit(expected)) & ~actual.isnan()
        assert not differs.any(), f"{label}: the sign of a zero differs"


def assert_same_form(actual: Tensor, expected: Tensor, label: object = "") -> None:
    """Equal dtype, shape, strides and device."""
    assert actual.dtype == expected.dtype, (label, actual.dtype, expected.dtype)
    assert actual.shape == expected.shape, (label, actual.shape, expected.shape)
    assert actual.stride() == expected.stride(), (label, actual.shape, actual.stride(), expected.stride())
    assert actual.device == expected.device, label


def assert_matches(row: Row, actual: Tensor, expected: Tensor, sample: Sample, label: object = "") -> None:
    """What our kernel may differ from torch's ``expected`` in: nothing for arithmetic, the stated units otherwise.

    float64 is compared with torch: both err by at most twice the units of float32, and torch's gelu, both log_softmax
    cancel, by some epsilons of the input. Reduced precisions compute in float32 and round once: half a unit, and a
    little for the error before the rounding.
    """
    assert_same_form(actual, expected, label)
    bound = ULPS.get(row.name, 0)
    floating = actual.dtype.is_floating_point
    if row.name == "fused_multiply_add" and floating:
        return assert_fused(actual, sample, label)
    if bound == 0 or not floating:
        if actual.dtype in (torch.bfloat16, torch.float16) and len(sample.tensors()) == 2 and "alpha" in sample.kwargs:
            # torch rounds alpha * other before adding it where it does not vectorise (strided, tail); we round once.
            alpha = torch.tensor(sample.kwargs["alpha"], dtype=actual.dtype)
            wide = sample.map(lambda tensor: tensor.to(actual.dtype).double())
            expected = row.original(*wide.args, alpha=alpha.item()).float().to(actual.dtype)
        return assert_same_bits(actual, expected.as_strided(actual.shape, actual.stride()), label)
    # Arguments of an exponential are rounded to half a unit (input - max, beta * input): the result errs by as many
    # units as the argument is large.
    exponent = 0.0
    if row.name == "softmax":
        exponent = span(sample.args[0])
    elif row.name == "softplus" and "beta" in sample.kwargs:
        exponent = span(sample.kwargs["beta"] * sample.args[0])
    if actual.dtype == torch.float64:
        epsilon = torch.finfo(torch.float64).eps
        cancellation = {
            "gelu": 4, "log_softmax": 4, "binary_cross_entropy_with_logits": 4, "logsumexp": 4,
            "linear_cross_entropy": 64, "layer_norm": 8, "rms_norm": 8,
        }  # fmt: skip
        cancelled = cancellation.get(row.name, 8 if row.name in ENTROPY else 0)
        largest = max(
            (float(x.double().nan_to_num(0, 0, 0).abs().max()) for x in sample.tensors() if x.numel()), default=0
        )
        return torch.testing.assert_close(
            actual,
            expected,
            rtol=2 * (max(bound, 2) + exponent) * epsilon,
            atol=cancelled * epsilon * largest,
            equal_nan=True,
        )
    bound += exponent
    if actual.dtype != torch.float32:
        bound = 0.5 + bound * torch.finfo(torch.float32).eps / torch.finfo(actual.dtype).eps
    # log_softmax subtracts the logarithm of a sum that is close to 1 where the result is close to 0, and logsumexp adds
    # it to a maximum, which may cancel. So may losses of both signs: they come from negative weights.
    # A normalised element times its weight may cancel with the bias, both up to some 16 in torch's samples.
    cancels = row.name in ENTROPY or row.name in NORMALIZATIONS
    smallest = 1.0 if row.name in ("log_softmax", "logsumexp") else 16.0 if cancels else 0.0
    return assert_units(actual, reference(row, sample), bound, label, smallest)


def span(tensor: Tensor) -> float:
    """The largest distance between a finite element and another, or zero."""
    finite = tensor.double().nan_to_num(0, 0, 0)
    return float(finite.max().clamp(min=0) - finite.min().clamp(max=0)) if tensor.numel() else 0.0


def assert_fused(actual: Tensor, sample: Sample, label: object = "") -> None:
    """fused_multiply_add rounds once; torch's addcmul, the original, rounds twice."""
    operands = torch.broadcast_tensors(*sample.args)
    exact_type = torch.float64 if actual.dtype == torch.float64 else torch.float32
    values = [fused(*numbers, exact_type) for numbers in zip(*(x.flatten().tolist() for x in operands), strict=True)]
    expected = torch.tensor(values, dtype=exact_type).to(actual.dtype).reshape(actual.shape)
    torch.testing.assert_close(actual, expected, rtol=0, atol=0, equal_nan=True, msg=lambda text: f"{label}: {text}")


class Outcome(NamedTuple):
    """What a call did: its result, or the class of its exception."""

    result: Any
    error: type[BaseException] | None


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Outcome:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's warning about resizing `out`
        try:
            return Outcome(function(*args, **kwargs), None)
        except Exception as error:
            return Outcome(None, type(error))


def patch_hits() -> dict[str, int]:
    """Calls that our kernels served in torch's place, by what they replaced."""
    return {entry.name: entry.hits for entry in torchext.report().entries if entry.hits}


@cache
def torch_draws_from_twister() -> bool:
    """Whether torch's bernoulli_ draws from its Mersenne twister here, as ours: builds with MKL may not, on
    Intel's CPUs."""
    before = taken("bernoulli_")
    torchext.bernoulli_(torch.empty(1000), 0.5, generator=torch.Generator())
    return taken("bernoulli_") > before
