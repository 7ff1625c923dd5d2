"""The losses: values and gradients against float64, special values, threads, tables, layouts."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import (
    ENTROPY,
    FLOATING,
    ROWS,
    ULPS,
    assert_same_bits,
    assert_same_form,
    assert_tables_agree,
    assert_units,
    row_named,
    streaming_above,
    taken,
)  # fmt: skip

import torchext

NAMES = [row.name for row in ROWS if row.family == "loss" and row.name not in ENTROPY]
REDUCTIONS = ["none", "mean", "sum"]
PARAMETERS = {"smooth_l1_loss": {"beta": 0.7}, "huber_loss": {"delta": 0.7}}
every_name = pytest.mark.parametrize("name", NAMES)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
every_dtype = pytest.mark.parametrize("dtype", FLOATING, ids=str)


def data(name: str, *shape: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Input and target; probabilities where the loss wants them."""
    x, y = torch.randn(shape, dtype=torch.float64) * 3, torch.rand(shape, dtype=torch.float64)
    x = torch.rand(shape, dtype=torch.float64) if name == "binary_cross_entropy" else x
    return x.to(dtype), (y if "cross" in name else y * 4 - 2).to(dtype)


def exact(name: str, x: torch.Tensor, y: torch.Tensor, reduction: str, **parameters: float) -> torch.Tensor:
    """In float64. With logits, by terms that do not cancel."""
    x, y = x.double(), y.double()
    if name != "binary_cross_entropy_with_logits":
        return row_named(name).original(x, y, reduction=reduction, **parameters)
    loss = x * torch.where(x < 0, -y, 1 - y) + torch.log1p(torch.exp(-x.abs()))
    return {"none": loss, "mean": loss.mean(), "sum": loss.sum()}[reduction]


def bound_of(name: str, dtype: torch.dtype) -> float:
    if dtype == torch.float64:
        return ULPS[name] + 30.0  # the reference is float64, too, and adds in another order
    return ULPS[name] if dtype == torch.float32 else 0.51


@pytest.mark.parametrize("elements", [1, 15, 127, 1000, 8192, 70_001])
@every_reduction
@every_dtype
@every_name
def test_values(name, dtype, reduction, elements, instruction_set, fast_path):
    x, y = data(name, elements, dtype=dtype)
    if dtype == torch.float16 and reduction == "sum" and elements > 1000:
        pytest.skip("beyond the largest float16")
    parameters = PARAMETERS.get(name, {})
    with fast_path(name):
        result = row_named(name).function(x, y, reduction=reduction, **parameters)
    expected = exact(name, x, y, reduction, **parameters)
    assert result.dtype == dtype
    assert_units(result, expected, bound_of(name, dtype), (name, reduction))


@every_dtype
@every_name
def test_default_is_the_mean(name, dtype):
    x, y = data(name, 1000, dtype=dtype)
    function = row_named(name).function
    assert_same_bits(function(x, y), function(x, y, reduction="mean"))
    if name != "huber_loss":  # younger than the old arguments
        for old, reduction in (({"size_average": False}, "sum"), ({"reduce": False}, "none")):
            with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated"):
                result = function(x, y, **old)
            assert_same_bits(result, function(x, y, reduction=reduction))


@pytest.mark.parametrize("order", ["ascending", "descending", "one large"])
def test_sums_of_sorted_terms(order, instruction_set):
    """A million terms, the large ones first or last: a plain float32 sum is 100 units off."""
    x = torch.linspace(0, 1, 1_000_003)
    if order == "descending":
        x = x.flip(0)
    elif order == "one large":
        x[0] = 4000.0
    for name in ("mse_loss", "l1_loss"):
        y = torch.full_like(x, 0.25)
        for reduction in ("mean", "sum"):
            result = row_named(name).function(x, y, reduction=reduction)
            assert_units(result, exact(name, x, y, reduction), 4, (name, reduction))


@every_reduction
@every_dtype
@every_name
def test_same_bits_for_any_number_of_threads(name, dtype, reduction, instruction_set):
    x, y = data(name, 200_003, dtype=dtype)
    found = []
    for threads in (1, 2, 3, 4, 8):
        torch.set_num_threads(threads)
        leaf = x.clone().requires_grad_()
        result = row_named(name).function(leaf, y, reduction=reduction)
        found.append((result.detach(), torch.autograd.grad(result, leaf, torch.ones_like(result))[0]))
    for result, grad in found[1:]:
        assert_same_bits(result, found[0][0])
        assert_same_bits(grad, found[0][1])


@every_reduction
@every_name
def test_every_table_gives_the_same_bits(name, reduction):
    for dtype in FLOATING:
        x, y = data(name, 10_007, dtype=dtype)
        results = {}
        for isa in torchext.isa.available():
            with torchext.isa.using(isa):
                leaf = x.clone().requires_grad_()
                result = row_named(name).function(leaf, y, reduction=reduction)
                results[isa] = result.detach(), torch.autograd.grad(result.sum(), leaf)[0]
        for isa, (result, grad) in results.items():
            assert_tables_agree(name, isa, result, results["scalar"][0])
            assert_same_bits(grad, results["scalar"][1], dtype)


# Gradients err by the units of the slope (a difference, a product or two) and by a rounding of grad / n.
@pytest.mark.parametrize("elements", [1, 130, 70_001])
@every_reduction
@every_dtype
@every_name
def test_gradient(name, dtype, reduction, elements, instruction_set, fast_path):
    x, y = data(name, elements, dtype=dtype)
    parameters = PARAMETERS.get(name, {})
    row = row_named(name)
    leaf, wide = x.clone().requires_grad_(), x.double().requires_grad_()
    grad_output = torch.randn(x.shape if reduction == "none" else (), dtype=torch.float64).to(dtype)
    with fast_path(f"{name}_backward"):
        result = row.function(leaf, y, reduction=reduction, **parameters)
        (grad,) = torch.autograd.grad(result, leaf, grad_output)
    wide_result = row.original(wide, y.double(), reduction=reduction, **parameters)
    (expected,) = torch.autograd.grad(wide_result, wide, grad_output.double())
    epsilon = torch.finfo(dtype).eps
    smallest = torch.finfo(dtype).smallest_normal * epsilon  # of denormal results
    # sigmoid(x) - y cancels: some units of 1.
    scale = float(grad_output.abs().max()) / (elements if reduction == "mean" else 1)
    if name == "binary_cross_entropy":
        expected = expected.to(dtype).double()  # float16 overflows next to 0 and 1
    torch.testing.assert_close(grad.double(), expected, rtol=4 * epsilon, atol=4 * epsilon * scale + smallest)
    assert grad.dtype == dtype


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 88.0, -88.0, 1e-40, 3e38, -3e38, torch.inf, -torch.inf, torch.nan]


@pytest.mark.parametrize("name", [name for name in NAMES if name != "binary_cross_entropy"])
def test_special_values(name, instruction_set, fast_path):
    """Every pair: NaN and the infinities are where torch has them, forward and backward."""
    x = torch.tensor(SPECIAL).repeat_interleave(len(SPECIAL))
    y = torch.tensor(SPECIAL).repeat(len(SPECIAL))
    if "cross" in name:  # and none so small that torch's terms cancel
        y = y.clamp(0, 1).where(y > 1e-30, 0)
    row = row_named(name)
    for dtype in (torch.float32, torch.float64):
        results = []
        for function in (row.function, row.original):
            leaf = x.to(dtype).requires_grad_()
            with fast_path(name) if function is row.function else warnings.catch_warnings():
                result = function(leaf, y.to(dtype), reduction="none")
            results.append((result.detach(), torch.autograd.grad(result.sum(), leaf)[0]))
        for ours, stock in zip(*results, strict=True):
            torch.testing.assert_close(ours, stock, rtol=1e-6, atol=1e-6, equal_nan=True)


def test_binary_cross_entropy_is_clamped(instruction_set, fast_path):
    """log 0 counts as -100, and the slope's denominator as 1e-12."""
    x = torch.tensor([0.0, 1.0, 0.0, 1.0, 1e-45, 1 - 2**-24]).repeat(7)
    y = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0, 0.0]).repeat(7)
    for dtype in (torch.float32, torch.float64):
        results = []
        for function in (torchext.binary_cross_entropy, F.binary_cross_entropy):
            leaf = x.to(dtype).requires_grad_()
            result = function(leaf, y.to(dtype), reduction="none")
            results.append((result.detach(), torch.autograd.grad(result.sum(), leaf)[0]))
        torch.testing.assert_close(*results, rtol=1e-6, atol=0)
        assert (results[0][0] <= (100 if dtype == torch.float32 else 104)).all()
    with fast_path("binary_cross_entropy"):
        assert torchext.binary_cross_entropy(x[2:3], y[2:3]) == 100


@pytest.mark.parametrize("place", [0, 1, 63, 500, 29_999])
@every_reduction
@every_dtype
def test_binary_cross_entropy_refuses(dtype, reduction, place, instruction_set):
    """An element outside of [0, 1] or NaN, in input or target, wherever it is: torch's sentence."""
    for wrong in (1.5, -0.01, torch.nan, torch.inf):
        for which, named in ((0, "input"), (1, "target")):
            tensors = data("binary_cross_entropy", 30_000, dtype=dtype)
            tensors[which][place] = wrong
            sentence = f"all elements of {named} should be between 0 and 1"
            for function in (torchext.binary_cross_entropy, F.binary_cross_entropy):
                with pytest.raises(RuntimeError, match=sentence):
                    function(*tensors, reduction=reduction)


@every_reduction
@every_name
def test_no_elements(name, reduction, fast_path):
    """The mean of nothing is NaN, its sum 0."""
    row = row_named(name)
    for dtype in FLOATING:
        for shape in ((0,), (3, 0)):
            results = []
            for function in (row.function, row.original):
                leaf = torch.empty(shape, dtype=dtype, requires_grad=True)
                result = function(leaf, torch.empty(shape, dtype=dtype), reduction=reduction)
                results.append((result.detach(), torch.autograd.grad(result.sum(), leaf)[0]))
            for ours, stock in zip(*results, strict=True):
                assert_same_bits(ours, stock, dtype)


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "stepped": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "expanded": lambda x: x[..., :1].expand(x.shape),
    "0-dim": lambda x: x[0, 0, 0, 0],
}


@pytest.mark.parametrize("layouts", [(a, b) for a in LAYOUTS for b in LAYOUTS if (a == "0-dim") == (b == "0-dim")])
@every_reduction
@every_name
def test_layouts(name, reduction, layouts):
    """Strides of torch's result and gradient, whatever those of input and target; dense and alike is ours."""
    row = row_named(name)
    x, y = data(name, 3, 4, 5, 6, dtype=torch.float64)
    x, y = LAYOUTS[layouts[0]](x), LAYOUTS[layouts[1]](y)
    before = taken(name)
    results = []
    for function in (row.function, row.original):
        leaf = x.detach().requires_grad_()
        result = function(leaf, y, reduction=reduction)
        results.append((result.detach(), torch.autograd.grad(result.sum(), leaf)[0]))
    assert taken(name) == before + (layouts[0] == layouts[1] and layouts[0] not in ("stepped", "expanded"))
    for ours, stock in zip(*results, strict=True):
        assert_same_form(ours, stock, layouts)
        torch.testing.assert_close(ours, stock, rtol=1e-12, atol=1e-13)


@every_reduction
@every_dtype
@every_name
def test_streamed(name, dtype, reduction):
    """Results and gradients that take the other way to memory are the same."""
    x, y = data(name, 70_001, dtype=dtype)
    threshold = torchext._C.memory.streaming_threshold()
    found = []
    for limit in (threshold, 0):
        with streaming_above(limit):
            leaf = x[1:].detach().requires_grad_()
            result = row_named(name).function(leaf, y[1:], reduction=reduction)
            found.append((result.detach(), torch.autograd.grad(result, leaf, torch.ones_like(result))[0]))
    for streamed, plain in zip(*found, strict=True):
        assert_same_bits(streamed, plain)


@every_name
@settings(deadline=None, max_examples=40, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    shape=st.lists(st.integers(0, 9) | st.sampled_from([17, 64, 130]), max_size=3).map(tuple),
    dtype=st.sampled_from(FLOATING),
    reduction=st.sampled_from(REDUCTIONS),
    seed=st.integers(0, 1000),
)
def test_any_shape(name, shape, dtype, reduction, seed):
    torch.manual_seed(seed)
    x, y = data(name, *shape, dtype=dtype)
    before = taken(name)
    ours = row_named(name).function(x, y, reduction=reduction)
    assert taken(name) == before + 1
    assert_same_form(ours, row_named(name).original(x, y, reduction=reduction))
    expected = exact(name, x, y, reduction)
    if reduction == "none" or x.numel():
        assert_units(ours, expected, bound_of(name, dtype), (shape, dtype, reduction))
    else:
        assert_same_bits(ours, expected.to(dtype))
