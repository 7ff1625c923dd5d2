"""Every memory layout: the values of torch, exactly its strides, and our kernel behind them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support import (
    DTYPES,
    FLOATING,
    NAMES,
    ROWS,
    Sample,
    assert_matches,
    assert_same_bits,
    outcome,
    row_named,
    takes_dim,
    tensor_count,
)

import torchext

UNARY = [row.name for row in ROWS if row.family == "activation"]
BINARY = ["add", "sub", "mul", "div"]


def values(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Numbers of both signs, no zeros: they also serve as divisors."""
    plain = torch.randn(shape, dtype=torch.float64) * 4
    return torch.where(plain.abs() < 1, plain.sign(), plain).to(dtype)


def unaligned(dtype: torch.dtype) -> torch.Tensor:
    """A tensor whose data starts one byte after an element boundary."""
    raw = values(6, 5, dtype=dtype)
    buffer = bytearray(1) + bytearray(raw.view(torch.uint8).flatten().tolist())
    result = torch.frombuffer(buffer, dtype=dtype, offset=1).view(6, 5)
    assert result.data_ptr() % raw.element_size() != 0
    return result


LAYOUTS = {
    "contiguous": lambda dtype: values(6, 5, dtype=dtype),
    "channels_last": lambda dtype: values(2, 3, 4, 5, dtype=dtype).to(memory_format=torch.channels_last),
    "channels_last_3d": lambda dtype: values(2, 3, 2, 4, 3, dtype=dtype).to(memory_format=torch.channels_last_3d),
    "transposed": lambda dtype: values(37, 18, dtype=dtype).t(),
    "permuted": lambda dtype: values(4, 5, 6, dtype=dtype).permute(1, 2, 0),
    "sliced": lambda dtype: values(9, 40, dtype=dtype)[1:8, 3:36],
    "stepped": lambda dtype: values(6, 70, dtype=dtype)[:, ::2],
    "stepped rows": lambda dtype: values(20, 33, dtype=dtype)[::3],
    "every third, transposed": lambda dtype: values(8, 9, 10, dtype=dtype)[:, ::3].transpose(0, 2),
    "column of a matrix": lambda dtype: values(300, 3, dtype=dtype)[:, 1],
    "expanded": lambda dtype: values(5, 1, dtype=dtype).expand(5, 40),
    "expanded rows": lambda dtype: values(1, 33, dtype=dtype).expand(5, 33),
    "one element expanded": lambda dtype: values(1, dtype=dtype).expand(3, 17),
    "flipped": lambda dtype: values(5, 7, dtype=dtype).flip(0),
    "unaligned": unaligned,
    "odd offset": lambda dtype: values(101, dtype=dtype)[1:],
    "0-dim": lambda dtype: values(dtype=dtype),
    "ones in the shape": lambda dtype: values(1, 4, 1, 3, dtype=dtype).permute(2, 3, 0, 1),
    "overlapping windows": lambda dtype: values(40, dtype=dtype).unfold(0, 8, 2),
    "large": lambda dtype: values(300, 301, dtype=dtype).t(),
}


def check(row, sample: Sample, label: object = "") -> None:
    ours = row.function(*sample.args, **sample.kwargs)
    assert_matches(row, ours, row.original(*sample.args, **sample.kwargs), sample, label)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name, layout, instruction_set, fast_path):
    row = row_named(name)
    with fast_path(name):
        for dtype in FLOATING:
            check(row, Sample((LAYOUTS[layout](dtype),), {}), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name, layout, instruction_set, fast_path):
    """Both operands alike, one of them contiguous, either a number, and in-place."""
    row = row_named(name)
    with fast_path(name):
        for dtype in DTYPES:
            a, b = LAYOUTS[layout](dtype), LAYOUTS[layout](dtype)
            for sample in ((a, b), (a, b.contiguous()), (a.contiguous(), b), (a, 3), (a, b.flatten()[0].clone())):
                check(row, Sample(sample, {}), dtype)
            check(row, Sample((a, b), {"rounding_mode": "floor"} if name == "div" else {}), dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fused_multiply_add(layout, instruction_set, fast_path):
    row = row_named("fused_multiply_add")
    with fast_path("fused_multiply_add"):
        for dtype in (torch.float32, torch.bfloat16, torch.int64):
            a, b, c = (LAYOUTS[layout](dtype) for _ in range(3))
            small = [x[..., :5, :5] if x.dim() > 1 else x[:30] if x.dim() else x for x in (a, b, c)]
            check(row, Sample(tuple(small), {}), dtype)
            check(row, Sample((small[0], small[1].contiguous(), small[2]), {}), dtype)


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "0-dim"])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_any_dim(name, layout, instruction_set, fast_path):
    row = row_named(name)
    with fast_path(name):
        for dtype in FLOATING:
            x = LAYOUTS[layout](dtype)
            for dim in range(-x.dim(), x.dim()):
                check(row, Sample((x, dim), {}), (dtype, dim))


SHAPES = [
    ((5, 7), (7,)), ((5, 7), (1, 7)), ((5, 7), (5, 1)), ((5, 1), (1, 7)), ((5, 7), ()), ((), (5, 7)), ((1,), (5, 7)),
    ((3, 1, 4), (5, 1)), ((2, 3, 40), (3, 1)), ((0, 3), (1, 3)), ((0,), ()), ((1, 1), (1,)), ((200, 300), (300,)),
    ((200, 300), (200, 1)), ((), ()),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_broadcast(name, shapes, instruction_set, fast_path):
    """Row, column, one number, both directions at once; operands of another layout, too."""
    row = row_named(name)
    with fast_path(name):
        for dtype in DTYPES:
            a, b = (values(*shape, dtype=dtype) for shape in shapes)
            check(row, Sample((a, b), {}), dtype)
            check(row, Sample((a, b), {"alpha": 2} if name in ("add", "sub") else {}), dtype)
            check(row, Sample((a.mT.contiguous().mT, b) if a.dim() > 1 else (a, b), {}), dtype)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 4)], ids=str)
def test_no_elements(name, shape):
    row = row_named(name)
    count = 2 if row.family == "loss" else tensor_count(name)
    for dtype in FLOATING:
        sample = Sample(tuple(torch.empty(shape, dtype=dtype) for _ in range(count)), {})
        if takes_dim(row):
            sample = Sample((*sample.args, -1), {})
        assert_same_bits(row.function(*sample.args), row.original(*sample.args), sample)


@pytest.mark.parametrize("name", NAMES)
def test_lazy_negation_and_conjugation(name):
    """``x.conj().imag`` is a float32 tensor whose memory holds the negated numbers."""
    row = row_named(name)
    count = 2 if row.family == "loss" else tensor_count(name)
    views = [torch.randn(4, 5, dtype=torch.complex64).conj().imag for _ in range(count)]
    if name == "binary_cross_entropy":
        views = [torch.complex(torch.rand(4, 5), -torch.rand(4, 5)).conj().imag for _ in range(count)]
    assert all(view.is_neg() for view in views)
    extra = (1,) if takes_dim(row) else ()
    check(row, Sample((*views, *extra), {}))
    check(row, Sample((*(view[0] for view in views), *(0 for _ in extra)), {}))
    target = torch.randn(4, 5, dtype=torch.complex64).conj()
    if name in BINARY:  # the destination is lazily negated
        stock = target.clone().conj_physical().conj()
        getattr(torch.ops.rusttorch, name + "_")(target.imag, views[0])
        getattr(torch.ops.aten, name + "_")(stock.imag, views[0])
        assert_same_bits(target.imag.clone(), stock.imag.clone())


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("layout", ["channels_last", "transposed", "stepped", "expanded", "contiguous"])
def test_backward_layouts(name, layout, fast_path):
    """The gradient has torch's strides whatever those of the input and of the incoming gradient."""
    row = row_named(name)
    if name == "softsign":
        pytest.skip("torch's softsign is Python; its gradient's strides follow its chain of operators")
    for other in (layout, "contiguous"):
        x = LAYOUTS[layout](torch.float64)
        grad = LAYOUTS[other](torch.float64) if other == layout else values(*x.shape, dtype=torch.float64)
        results = []
        for function in (row.function, row.original):
            leaf = x.detach().requires_grad_()
            results.append(torch.autograd.grad(function(leaf), leaf, grad)[0])
        # Both err by some units of the terms that cancel, which are as large as input and incoming gradient: below 20.
        torch.testing.assert_close(*results, rtol=1e-14, atol=1e-13)
        assert results[0].stride() == results[1].stride()


def test_more_than_two_to_the_31_elements():
    """Expanded tensors have any number of elements: sizes must not wrap. Destinations that overlap are refused before
    anything is computed or allocated."""
    huge = torch.ones(1).expand(2**31 + 8)
    for name in BINARY:
        assert outcome(getattr(torch.ops.rusttorch, name + "_"), huge, huge).error is RuntimeError
        assert outcome(getattr(torchext, name), huge, huge, out=huge).error is RuntimeError
    for name in ("relu_", "tanh_", "silu_", "elu_", "sigmoid_"):
        assert outcome(getattr(torch.ops.rusttorch, name), huge).error is RuntimeError
    meta = torch.empty(2**31 + 8, 2, device="meta")
    assert torchext.softmax(meta, 0).shape == meta.shape
    assert torchext.add(meta, meta).shape == meta.shape


def test_conv_block_keeps_channels_last(fast_path):
    """A network in channels_last stays there."""
    x = values(2, 3, 8, 8).to(memory_format=torch.channels_last)
    weight = values(4, 3, 3, 3)
    with fast_path("gelu", "relu"):
        y = torchext.gelu(torchext.relu(F.conv2d(x, weight)))
    assert y.is_contiguous(memory_format=torch.channels_last)
