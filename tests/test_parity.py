"""Every drop-in function against torch's, on the inputs PyTorch tests its own with: values, dtype, strides, gradient,
errors; on every instruction set. Where our kernel did not run, the result must have torch's bits."""

from __future__ import annotations

import math

import pytest
import torch
from support import (
    ALL_NAMES,
    DTYPES,
    ENTROPY,
    FLOATING,
    OTHER_DTYPES,
    ROWS,
    Sample,
    assert_matches,
    assert_same_bits,
    assert_same_form,
    opinfos,
    outcome,
    row_named,
    samples,
    supports,
    taken,
    takes_dim,
)
from torch import Tensor

from torchext._registry import Row

# torch's samples of linear_cross_entropy have too few rows for chunks: test_linear_entropy.py has others.
COMPARED = [name for name in ALL_NAMES if name != "linear_cross_entropy"]


def calls_of(row: Row) -> int:
    return sum(taken(point) for point in row.counters)


def is_plain(row: Row, sample: Sample) -> bool:
    """Whether our kernel must run for a floating dtype: a loss leaves broadcasting to ATen."""
    tensors = sample.tensors()
    if row.family == "normalization":
        return tensors[0].numel() > 0
    return row.family != "loss" or (len(tensors) == 2 and tensors[0].shape == tensors[1].shape)


def compare(row: Row, sample: Sample) -> bool:
    """Same exception class, or same result; True if our kernel ran."""
    before = calls_of(row)
    ours = outcome(row.function, *sample.args, **sample.kwargs)
    accelerated = calls_of(row) > before
    stock = outcome(row.original, *sample.args, **sample.kwargs)
    assert ours.error is stock.error, (sample, ours, stock)
    if stock.error is None:
        if accelerated:
            assert_matches(row, ours.result, stock.result, sample, sample)
        else:
            assert_same_bits(ours.result, stock.result, sample)
        assert not any(ours.result.data_ptr() == tensor.data_ptr() != 0 for tensor in sample.tensors())
    return accelerated


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", COMPARED)
def test_sample_inputs(name, dtype, instruction_set, fast_path):
    row = row_named(name)
    if not supports(row, dtype):
        pytest.skip("torch has no such dtype here; test_unsupported_dtype compares the error")
    with fast_path(*row.counters):
        for sample in samples(row, dtype):
            accelerated = compare(row, sample)
            # Of the losses of classes, some have probabilities or more dimensions.
            plain = name not in ENTROPY and is_plain(row, sample)
            assert accelerated or sample.kwargs.get("dtype", dtype) not in FLOATING or not plain, sample


@pytest.mark.parametrize("name", COMPARED)
def test_reference_inputs(name, instruction_set, fast_path):
    """More shapes, layouts, numbers as operands, special values, mixed dtypes; up to 1 M elements."""
    row = row_named(name)
    with fast_path(*row.counters):
        for sample in samples(row, torch.float32, "reference_inputs"):
            compare(row, sample)


@pytest.mark.parametrize("dtype", OTHER_DTYPES, ids=str)
@pytest.mark.parametrize("name", COMPARED)
def test_other_dtypes(name, dtype):
    """Boolean, complex and small integers: ATen's result, bit for bit, unless torch computes in one of our dtypes."""
    row = row_named(name)
    for sample in samples(row, dtype):
        computed_in = (
            torch.result_type(*sample.args[:2]) if name in ("add", "sub", "mul", "fused_multiply_add") else None
        )
        accelerated = compare(row, sample)
        assert not accelerated or computed_in is None or computed_in in DTYPES


@pytest.mark.parametrize("dtype", (*DTYPES, *OTHER_DTYPES), ids=str)
@pytest.mark.parametrize("name", COMPARED)
def test_unsupported_dtype(name, dtype):
    """A dtype that torch refuses is refused with the same class; one that it takes gives the same dtype."""
    row = row_named(name)
    sample = next(iter(samples(row, torch.float32)))
    sample = sample.map(lambda tensor: (tensor.abs() + 1).to(dtype))
    compare(row, sample)


@pytest.mark.parametrize("name", COMPARED)
def test_error_inputs(name):
    """PyTorch's list of wrong calls, and some of our own: the same exception class, and no input is written."""
    row = row_named(name)
    wrong = [
        Sample((found.sample_input.input, *found.sample_input.args), dict(found.sample_input.kwargs))
        for info in opinfos(row)
        if info.error_inputs_func and row.opinfo
        for found in info.error_inputs("cpu")
    ]
    plain = next(iter(samples(row, torch.float32)))
    tensors = len(plain.tensors())
    shapes = [(2, 3), (4, 5), (6, 7)][:tensors]
    if tensors > 1:
        shapes = iter(shapes)
        wrong.append(plain.map(lambda tensor: torch.ones(next(shapes))))
    wrong.append(Sample((), {}))
    if row.name != "softsign":  # torch's is Python and raises AttributeError, ours TypeError as for all others
        wrong.append(Sample((None, 0) if takes_dim(row) else (None, *plain.args[1:]), plain.kwargs))
        wrong.append(Sample(("text", *plain.args[1:]), plain.kwargs))
    wrong.append(Sample((*plain.args, torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(2)), plain.kwargs))
    wrong.append(Sample(plain.args, {**plain.kwargs, "unknown": 1}))
    if "rounding_mode" in str(row.aten_overloads) or row.name == "div":
        wrong.append(Sample(plain.args, {"rounding_mode": "ceil"}))
    if row.name in ("add", "sub"):
        integers = plain.map(lambda tensor: tensor.int())
        wrong += [Sample(integers.args, {"alpha": 1.5}), Sample(plain.args, {"alpha": 1j})]
        wrong.append(Sample(plain.map(lambda tensor: tensor > 0).args, {"alpha": True}))
    if takes_dim(row):
        wrong += [Sample((torch.ones(2, 3), dim), {}) for dim in (2, -3, "text", 1.5)]
        wrong += [Sample((torch.ones(()), dim), {}) for dim in (1, -2)]
    refused = 0
    for sample in wrong:
        before = sample.clone()
        refused += outcome(row.original, *sample.args, **sample.kwargs).error is not None
        compare(row, sample)
        for tensor, original in zip(sample.tensors(), before.tensors(), strict=True):
            assert torch.equal(tensor, original)
    assert refused >= 3


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.family == "activation"])
def test_no_tensor(name):
    """torch's sentence, with the name of the function and of the type."""
    with pytest.raises(TypeError, match=rf"^{name}\(\): argument 'input' \(position 1\) must be Tensor, not str$"):
        row_named(name).function("text")


# Gradients are compared with torch's of the same inputs, both in float64 arithmetic of the same formulas: 8 units, and
# as many of the incoming gradient where terms cancel (gelu, silu, mish have a zero slope; softmax subtracts a mean).
GRADIENT_UNITS = 8


def gradients(row: Row, function, sample: Sample):
    """Of all tensors; of a loss, which has a kernel for that alone, of its input."""
    leaves = sample.map(lambda t: t.detach().clone().requires_grad_(t.dtype.is_floating_point))
    if row.family == "loss":
        leaves = Sample((leaves.args[0], *leaves.map(Tensor.detach).args[1:]), leaves.map(Tensor.detach).kwargs)
    inputs = [tensor for tensor in leaves.tensors() if tensor.requires_grad]
    result = function(*leaves.args, **leaves.kwargs)
    generator = torch.Generator().manual_seed(1)
    grad = torch.randn(result.shape, dtype=torch.float64, generator=generator).to(result.dtype)
    return grad, inputs, torch.autograd.grad(result, inputs, grad)


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("name", COMPARED)
def test_gradients(name, dtype, instruction_set):
    row = row_named(name)
    compared = 0
    for sample in samples(row, dtype):
        if not any(tensor.numel() for tensor in sample.tensors()) or sample.kwargs.get("rounding_mode"):
            continue
        # One element is normalised to a constant: torch's gradient is what remains of terms that cancel, ours is 0.
        if row.family == "normalization" and (sample.args[0].numel() == 0 or math.prod(sample.args[1]) == 1):
            continue
        grad, _, ours = gradients(row, row.function, sample)
        _, _, stock = gradients(row, row.original, sample)
        epsilon = torch.finfo(dtype).eps
        for mine, expected in zip(ours, stock, strict=True):
            assert_same_form(mine, expected, sample)
            compared += 1
            if row.family == "arithmetic" and row.name != "div":
                assert_same_bits(mine, expected, sample)
                continue
            scale = float(grad.abs().max() * expected.abs().max().clamp(min=1))
            torch.testing.assert_close(
                mine, expected, rtol=GRADIENT_UNITS * epsilon, atol=GRADIENT_UNITS * epsilon * scale, equal_nan=True
            )
    assert compared


def test_every_row_is_compared():
    """Each row has PyTorch's own samples behind it, or a stand-in that has."""
    for row in ROWS:
        assert any(True for _ in samples(row, torch.float32)), row.name
