"""The gradient of max, min, amax and amin: equal extremes share it, in ATen's words and bits."""

from __future__ import annotations

import math

import pytest
import torch
from support import outcome, row_named, taken

import torchext

SHAPES = [(5,), (3, 4), (2, 5, 3), (40, 33), (7, 1000), (1000, 7), (3, 70_000), (600, 600), (2, 300, 130), (200_001,)]
DTYPES = (torch.float32, torch.float64)


def gradients(function, x, args, grad_output, **kwargs):
    leaf = x.clone().requires_grad_()
    result = function(leaf, *args, **kwargs)
    return torch.autograd.grad(result, leaf, grad_output.expand(result.shape))[0]


def same(name, x, args, grad_output, **kwargs):
    row = row_named(name)
    mine, stock = (gradients(function, x, args, grad_output, **kwargs) for function in (row.function, row.original))
    assert mine.stride() == stock.stride()
    torch.testing.assert_close(mine, stock, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(mine.signbit() & ~mine.isnan(), stock.signbit() & ~stock.isnan())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["amax", "amin", "max", "min"])
def test_same_bits_as_torch(name, shape, dtype, instruction_set, fast_path):
    """Values of few, so that most extremes have equals; without them, and with a NaN in some rows.
    Large tensors get one grad_output: all four took 84 s."""
    with_nan = torch.randn(shape, dtype=dtype)
    with_nan.view(-1)[:: max(2, with_nan.numel() // 3)] = math.nan
    for x in (torch.randint(0, 4, shape).to(dtype), torch.randn(shape, dtype=dtype), with_nan):
        dims = [()]
        if name in ("amax", "amin"):
            dims += [(dim,) for dim in range(x.dim())] + [(tuple(range(1, x.dim())),)]
        for args in dims:
            if args == ((),):
                continue
            for value in (0.3, -2.0, math.inf, -0.0) if x.numel() < 10_000 else (0.3,):
                with fast_path("_extremes_backward"):
                    same(name, x, args, torch.tensor(value, dtype=dtype))


def test_keepdim_and_weights(fast_path):
    x = torch.randint(0, 3, (6, 5, 4)).float()
    for dim, keepdim in ((0, True), (1, False), ((1, 2), True), ((0, 1), False)):
        grad_output = torch.randn(x.amax(dim, keepdim).shape)
        with fast_path("_extremes_backward"):
            same("amax", x, (dim, keepdim), grad_output)


@pytest.mark.parametrize("case", ["other order", "two runs of dims", "bfloat16", "one element", "scalar", "no dims"])
def test_what_is_atens(case):
    """The formula in ATen's operators; the same bits."""
    x, args = torch.randint(0, 3, (6, 5, 4)).float(), (0,)
    if case == "other order":
        x = x.transpose(0, 2)
    if case == "two runs of dims":
        args = ((0, 2),)
    if case == "bfloat16":
        x = x.bfloat16()
    if case == "one element":
        x = torch.ones(1, 1)
    if case == "scalar":
        x, args = torch.tensor(2.0), ()
    if case == "no dims":
        args = ((),)
    before = taken("_extremes_backward")
    same("amax", x, args, torch.tensor(0.5, dtype=x.dtype))
    assert taken("_extremes_backward") == before + (case == "no dims")
    if case != "two runs of dims":
        same("max", x, (), torch.tensor(0.5, dtype=x.dtype))


def test_same_bits_for_any_number_of_threads():
    for shape, args in (((1_000_003,), ()), ((3, 400_000), (1,)), ((500, 700), (0,)), ((500, 700), (1,))):
        x = torch.randint(0, 50, shape).float()
        found = []
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            found.append(gradients(torchext.amax, x, args, torch.tensor(0.7)))
        assert all(torch.equal(found[0], other) for other in found)


@pytest.mark.parametrize(("name", "args"), [("amax", (1,)), ("amin", (0,)), ("max", ()), ("min", ())])
def test_second_derivative(name, args):
    """The same bits: the formula is ATen's, step by step."""
    x = torch.randint(0, 3, (50, 60)).float().requires_grad_()
    second = []
    for function in (row_named(name).function, row_named(name).original):
        result = function(x, *args)
        torch.manual_seed(0)
        weight, other = torch.randn(result.shape, requires_grad=True), torch.randn(50, 60)
        (first,) = torch.autograd.grad(result, x, weight, create_graph=True)
        second.append(torch.autograd.grad((first * other).sum(), weight)[0])
    assert torch.equal(*second)


def test_more_dimensions_than_a_mask_has_bits():
    x = torch.randn([2, *[1] * 70, 3])
    for name in ("max", "min", "sum", "mean"):
        row, grad_output = row_named(name), torch.tensor(0.5)
        mine, stock = (gradients(f, x, (), grad_output).flatten() for f in (row.function, row.original))
        assert torch.equal(mine, stock)
    ours, theirs = (outcome(function, x, 0).error for function in (torchext.logsumexp, torch.logsumexp))
    assert ours is theirs is RuntimeError


def test_batches():
    x = torch.randint(0, 3, (4, 5)).double().requires_grad_()
    batch = torch.eye(4, dtype=torch.float64)
    mine, stock = (
        torch.autograd.grad(function(x, 1), x, batch, is_grads_batched=True)[0]
        for function in (torchext.amax, torch.amax)
    )
    torch.testing.assert_close(mine, stock, rtol=0, atol=0)


def test_operator(fast_path):
    x = torch.randn(4, 5, 6)
    result, grad_output = x.amax(1, True), torch.randn(4, 1, 6)
    operator = torch.ops.rusttorch._extremes_backward.default
    torch.library.opcheck(operator, (grad_output, x, result, False))
    torch.library.opcheck(operator, (torch.randn(1, 1, 1), x, x.max().reshape(1, 1, 1), True))
    with fast_path("_extremes_backward"):
        assert torch.equal(operator(grad_output, x, result, False), grad_output * (x == result))
