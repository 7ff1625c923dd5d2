"""matmul of all ranks, and what else is made of products: Linear, LinearAct, integers."""

from __future__ import annotations

import pytest
import torch
from support import assert_same_form, outcome, row_named, taken
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

import torchext
import torchext.nn

SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((1, 2, 3), (5, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)), ((6, 5, 2, 3), (1, 5, 3, 4)), ((2, 0, 3), (3, 4)), ((0, 2, 3), (3, 4)),
    ((2, 2, 0), (0, 4)), ((7, 1, 1), (1, 1)),
]  # fmt: skip
REFUSED = [((2, 3), (4, 3)), ((), (3,)), ((5, 2, 3), (4, 3, 2)), ((3,), (4,)), ((2, 2, 3), (2, 2))]
IDS = {"ids": str}


@pytest.mark.parametrize(("a", "b"), SHAPES, **IDS)
def test_ranks(a, b):
    x, y = (torch.randn(shape, dtype=torch.float64) for shape in (a, b))
    layouts = [(x, y)]
    if min(x.dim(), y.dim()) > 1:
        layouts.append((x.mT.contiguous().mT, y.mT.contiguous().mT))
    for left, right in layouts:
        before = taken("matmul")
        ours, stock = torchext.matmul(left, right), torch.matmul(left, right)
        assert_same_form(ours, stock)
        torch.testing.assert_close(ours, stock)
        assert taken("matmul") == before + (max(x.dim(), y.dim()) > 1)


@pytest.mark.parametrize(("a", "b"), REFUSED, **IDS)
def test_shapes_that_do_not_fit(a, b):
    x, y = torch.randn(a), torch.randn(b)
    ours, stock = (outcome(f, x, y) for f in (torchext.matmul, torch.matmul))
    assert ours.error is stock.error is RuntimeError


@pytest.mark.parametrize(("a", "b"), [pair for pair in SHAPES if all(map(all, pair))], **IDS)
def test_gradients(a, b):
    x, y = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in (a, b))
    assert gradcheck(torchext.matmul, (x, y), check_forward_ad=True)
    assert gradgradcheck(torchext.matmul, (x, y))


def test_compiles_with_dynamic_shapes():
    compiled = torch.compile(torchext.matmul, dynamic=True, fullgraph=True)
    for a, b in [((5, 2, 3), (3, 4)), ((7, 3, 5), (5, 2)), ((5, 2, 3), (5, 3, 4)), ((6, 1, 2, 3), (5, 3, 4))]:
        x, y = torch.randn(a), torch.randn(b)
        torch.testing.assert_close(compiled(x, y), torch.matmul(x, y))


def test_destination():
    x, y = torch.randn(3, 2, 4), torch.randn(4, 5)
    out = torch.empty(0)
    assert torchext.matmul(x, y, out=out) is out
    torch.testing.assert_close(out, x @ y)


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid"])
def test_linear_act_module(activation):
    torch.manual_seed(0)
    ours = torchext.nn.LinearAct(6, 5, activation=activation)
    stock = nn.Linear(6, 5)
    stock.load_state_dict(ours.state_dict())
    x = torch.randn(2, 3, 6)
    expected = row_named("linear_act").original(x, stock.weight, stock.bias, activation)
    torch.testing.assert_close(ours(x), expected)
    gradients = [torch.autograd.grad(f.square().sum(), m.parameters()) for f, m in ((ours(x), ours), (expected, stock))]
    torch.testing.assert_close(gradients[0], gradients[1])
    assert activation in repr(ours)


def test_linear_modules():
    with pytest.raises(ValueError, match="one of gelu"):
        torchext.nn.LinearAct(2, 2, activation="mish")
    for bias in (True, False):
        ours, stock = torchext.nn.Linear(4, 3, bias), nn.Linear(4, 3, bias)
        stock.load_state_dict(ours.state_dict())
        assert repr(ours) == repr(stock)
        before = taken("linear")
        x = torch.randn(2, 4)
        torch.testing.assert_close(ours(x), stock(x))
        assert taken("linear") == before + 1


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], **IDS)
@pytest.mark.parametrize("size", [(1, 100, 30), (3, 70, 65), (64, 64, 64), (200, 300, 150)], **IDS)
def test_integers_wrap(size, dtype, instruction_set, fast_path):
    n, k, m = size
    limits = torch.iinfo(dtype)
    a = torch.randint(limits.min, limits.max, (n, k), dtype=dtype)
    b = torch.randint(limits.min, limits.max, (m, k), dtype=dtype).t()
    with fast_path("mm", "addmm", "bmm", "matmul"):
        assert torch.equal(torchext.mm(a, b), torch.mm(a, b))
        assert torch.equal(torchext.mm(a, b.contiguous()), torch.mm(a, b))
        summand = torch.randint(limits.min, limits.max, (m,), dtype=dtype)
        assert torch.equal(torchext.addmm(summand, a, b), torch.addmm(summand, a, b))
        assert torch.equal(torchext.bmm(a[None], b[None])[0], torch.mm(a, b))
        assert torch.equal(torchext.matmul(a, b), torch.mm(a, b))
