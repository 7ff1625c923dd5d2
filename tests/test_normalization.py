"""layer_norm and rms_norm: values against float64, gradients of every order, layouts, mixed dtypes, transforms."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from support import (
    FLOATING,
    NORMALIZATIONS,
    assert_same_bits,
    assert_same_form,
    outcome,
    row_named,
    streaming_above,
    taken,
)
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

import torchext

names = pytest.mark.parametrize("name", NORMALIZATIONS)
dtypes = pytest.mark.parametrize("dtype", FLOATING, ids=str)
SHAPES = [(1, 1), (3, 7), (5, 64), (130, 50), (64, 384), (33, 1000), (2, 3, 4, 40), (1030, 17), (4, 5000)]
BACKWARD = {"layer_norm": "native_layer_norm_backward", "rms_norm": "_fused_rms_norm_backward"}


def inputs_of(
    name: str, shape: tuple[int, ...], dims: int = 1, dtype: torch.dtype = torch.float64, offset: float = 0.5
):
    """Input, shape and weights, all of which require grad."""
    last = shape[len(shape) - dims :]
    tensors = [torch.randn(shape, dtype=torch.float64) * 2 + offset, torch.rand(last, dtype=torch.float64) + 0.5]
    if name == "layer_norm":
        tensors.append(torch.randn(last, dtype=torch.float64))
    x, *weights = (tensor.to(dtype).requires_grad_() for tensor in tensors)
    return (x, last, *weights)


def detached(inputs) -> tuple:
    return tuple(value.detach() if isinstance(value, Tensor) else value for value in inputs)


def gradients(function, inputs, grad: Tensor, **kwargs) -> tuple[Tensor, ...]:
    return torch.autograd.grad(function(*inputs, **kwargs), [t for t in inputs if isinstance(t, Tensor)], grad)


def wide(inputs) -> tuple:
    return tuple(v.detach().double().requires_grad_() if isinstance(v, Tensor) else v for v in inputs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@dtypes
@names
def test_values_and_gradients(name, dtype, shape, instruction_set, fast_path):
    """Against float64. The error of an element is in units of the largest of its row, that of a sum of its terms."""
    row, inputs = row_named(name), inputs_of(name, shape, dtype=dtype)
    grad = torch.randn(shape, dtype=torch.float64).to(dtype)
    with fast_path(name, BACKWARD[name]):
        result, ours = row.function(*inputs, eps=1e-5), gradients(row.function, inputs, grad, eps=1e-5)
    exact = wide(inputs)
    expected, stock = row.original(*exact, eps=1e-5), gradients(row.original, exact, grad.double(), eps=1e-5)
    assert_same_form(result, row.original(*inputs, eps=1e-5))
    unit = torch.finfo(torch.float32 if dtype != torch.float64 else dtype).eps
    last = torch.finfo(dtype).eps / 2 if dtype in (torch.bfloat16, torch.float16) else 0
    x = inputs[0].detach().double()
    deviation = x.std(-1, correction=0, keepdim=True) if name == "layer_norm" else x.square().mean(-1, True).sqrt()
    scale = 1 / (deviation**2 + 1e-5).sqrt()
    # The mean is rounded to half a unit: after the division by the deviation, that is its share of the error.
    row_error = 8 * unit * (1 + x.mean(-1, keepdim=True).abs() * scale)
    bound = row_error * (1 + expected.abs().amax(-1, True)) + last * expected.abs()
    assert ((result.double() - expected).abs() <= bound).all()
    g = grad.double() * exact[2].detach()
    spread = (row_error + 8 * unit) * scale * (1 + g.abs().amax(-1, True)) * (2 + expected.abs().amax(-1, True))
    assert ((ours[0].double() - stock[0]).abs() <= 4 * spread + last * stock[0].abs()).all()
    terms = (grad.double().abs() * (1 + ((x - x.mean(-1, True)) * scale).abs())).flatten(0, -2)
    for mine, other in zip(ours[1:], stock[1:], strict=True):
        assert mine.dtype == dtype
        error = (terms * (8 * unit + row_error.flatten(0, -2))).sum(0)
        assert ((mine.double() - other).abs() <= error + last * other.abs()).all()


@names
def test_cancelling_input(name, instruction_set):
    """Numbers far from zero: torch's error here is hundreds of times as large."""
    x = (10000 + torch.arange(768) % 17 / 1024).repeat(3, 1)
    weights = inputs_of(name, (3, 768), dtype=torch.float32)[1:]
    row = row_named(name)
    with torch.no_grad():
        result, exact = row.function(x, *weights), row.original(x.double(), *wide((x, *weights))[1:])
    assert (result.double() - exact).abs().max() <= 16 * 2**-24 * exact.abs().max()


@dtypes
@names
def test_threads_and_instruction_sets(name, dtype):
    """The same bits, forward and backward, whatever computes them."""
    row = row_named(name)
    for shape in ((1500, 70), (100, 900), (7, 3000)):
        inputs, grad = inputs_of(name, shape, dtype=dtype), torch.randn(shape).to(dtype)
        found = []
        for isa in torchext.isa.available():
            with torchext.isa.using(isa):
                for threads in (1, 2, 3):
                    torch.set_num_threads(threads)
                    found.append((row.function(*inputs), *gradients(row.function, inputs, grad)))
        for other in found[1:]:
            for mine, first in zip(other, found[0], strict=True):
                assert_same_bits(mine.detach(), first.detach(), (shape, dtype))


@names
@pytest.mark.parametrize("shape", [(37, 515), (1, 5000), (1100, 50), (4000, 3)], ids=str)
def test_streamed_results(name, shape):
    """Results that are written around the caches have the same bits: short rows several at once."""
    row, inputs = row_named(name), inputs_of(name, shape, dtype=torch.float32)
    grad = torch.randn(shape)
    expected = (row.function(*inputs), *gradients(row.function, inputs, grad))
    with streaming_above(0):
        found = (row.function(*inputs), *gradients(row.function, inputs, grad))
    for mine, first in zip(found, expected, strict=True):
        assert_same_bits(mine.detach(), first.detach())


@pytest.mark.parametrize("dims", [1, 2, 3])
@names
def test_gradcheck(name, dims, fast_path):
    row = row_named(name)
    inputs = inputs_of(name, (2, 3, 4), dims)
    with fast_path(name, BACKWARD[name]):
        assert gradcheck(
            row.function, inputs, check_forward_ad=True, check_batched_grad=True, check_undefined_grad=True
        )
    assert gradgradcheck(row.function, inputs)
    assert gradcheck(row.function, (inputs[0], inputs[1]), check_forward_ad=True)
    assert gradgradcheck(row.function, (inputs[0], inputs[1]))


@names
def test_wanted_gradients(name):
    """Any selection of them, and each is what all of them give."""
    row = row_named(name)
    inputs, grad = inputs_of(name, (9, 33), dtype=torch.float32), torch.randn(9, 33)
    every = gradients(row.function, inputs, grad)
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    for chosen in range(1, 2 ** len(tensors)):
        for index, tensor in enumerate(tensors):
            tensor.requires_grad_(bool(chosen >> index & 1))
        wanted = [tensor for tensor in tensors if tensor.requires_grad]
        found = torch.autograd.grad(row.function(*inputs), wanted, grad)
        expected = [value for index, value in enumerate(every) if chosen >> index & 1]
        for mine, first in zip(found, expected, strict=True):
            assert_same_bits(mine, first, chosen)
    with torch.no_grad():
        assert not row.function(*inputs).requires_grad
    with torch.inference_mode():
        assert row.function(*detached(inputs)).is_inference()


@names
def test_inputs_are_left_alone(name):
    row, inputs = row_named(name), inputs_of(name, (30, 40))
    before, grad = copy.deepcopy(detached(inputs)), torch.randn(30, 40, dtype=torch.float64)
    saved = grad.clone()
    result = row.function(*inputs)
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    torch.autograd.grad(result, tensors, grad, retain_graph=True)
    torch.autograd.grad(result, tensors, grad)
    assert torch.equal(grad, saved)
    for now, then in zip(inputs, before, strict=True):
        assert torch.equal(now, then) if isinstance(now, Tensor) else now == then
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(result, tensors, grad)
    assert result.grad_fn.name().startswith("Torchext")


@names
def test_modified_saved_tensor(name):
    """An error for what backward needs, as in torch."""
    for victim in (0, 2):
        for function in (row_named(name).function, row_named(name).original):
            leaves = inputs_of(name, (3, 4))
            inputs = [value * 1 if isinstance(value, Tensor) else value for value in leaves]
            result = function(*inputs)
            with torch.no_grad():
                inputs[victim].mul_(2)
            assert outcome(torch.autograd.grad, result.sum(), leaves[0]).error is RuntimeError


@names
def test_checkpoint_and_saved_tensor_hooks(name):
    row, inputs = row_named(name), inputs_of(name, (5, 6))
    expected = gradients(row.function, inputs, torch.ones(5, 6, dtype=torch.float64))
    packed: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: packed.append(t.clone()) or len(packed) - 1, packed.__getitem__
    ):
        found = gradients(row.function, inputs, torch.ones(5, 6, dtype=torch.float64))
    assert packed
    torch.testing.assert_close(found, expected)
    tensors = [value for value in inputs if isinstance(value, Tensor)]
    found = torch.autograd.grad(checkpoint(row.function, *inputs, use_reentrant=False).sum(), tensors)
    torch.testing.assert_close(found, expected)


LAYOUTS = {
    "transposed": lambda x: x.t(), "stepped": lambda x: x[:, ::2], "expanded": lambda x: x[:1].expand(8, -1),
    "offset": lambda x: x[1:, 1:],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@names
def test_layouts(name, layout):
    row = row_named(name)
    x = LAYOUTS[layout](torch.randn(8, 12, dtype=torch.float64))
    weights = detached(inputs_of(name, tuple(x.shape)))[1:]
    for change in (lambda x: x, lambda x: x.detach().requires_grad_()):
        ours, stock = (f(change(x), *weights) for f in (row.function, row.original))
        assert_same_form(ours, stock)
        torch.testing.assert_close(ours, stock)
    leaves = [x.detach().requires_grad_() for _ in range(2)]
    grads = [
        torch.autograd.grad(f(leaf, *weights).square().sum(), leaf)[0]
        for f, leaf in zip((row.function, row.original), leaves, strict=True)
    ]
    torch.testing.assert_close(*grads)
    assert grads[0].stride() == grads[1].stride()


@names
def test_channels_last(name):
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    row = row_named(name)
    for shape in ((5,), (4, 5), (3, 4, 5)):
        ours, stock = row.function(x, shape), row.original(x, shape)
        assert_same_form(ours, stock)
        torch.testing.assert_close(ours, stock)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@names
def test_float_weights_of_a_reduced_precision(name, dtype, instruction_set, fast_path):
    """The gradients come back in the dtype of what they are of."""
    row = row_named(name)
    x, shape, *weights = inputs_of(name, (70, 129), dtype=torch.float32)
    inputs = (x.detach().to(dtype).requires_grad_(), shape, *weights)
    grad = torch.randn(70, 129).to(dtype)
    with fast_path(name, BACKWARD[name]):
        result, found = row.function(*inputs), gradients(row.function, inputs, grad)
    exact = wide(inputs)
    assert result.dtype == found[0].dtype == dtype
    torch.testing.assert_close(result.double(), row.original(*exact), rtol=torch.finfo(dtype).eps, atol=1e-6)
    for mine, expected in zip(found, gradients(row.original, exact, grad.double()), strict=True):
        tolerance = torch.finfo(mine.dtype).eps
        torch.testing.assert_close(mine.double(), expected, rtol=8 * tolerance, atol=1e-4)
    assert [mine.dtype for mine in found[1:]] == [torch.float32] * len(weights)


@names
def test_what_torch_refuses(name):
    """The same class, for wrong shapes and dtypes; dtypes that it takes give the same dtype."""
    row, x, w = row_named(name), torch.randn(4, 5), torch.randn(5)
    double = w.double()
    calls = [
        (x, ()), (x, (4,)), (x, (5, 4)), (x, (2, 4, 5)), (x, 5), (x, (5.0,)), (x, (5,), w[:4]), (x, (5,), double),
        (x.double(), (5,), w), (x, (5,), w.bfloat16()), (x.int(), (5,)), (x.bfloat16(), (5,), w.half()),
        (x, (5,), "text"), (x, None), (torch.tensor(1.0), (1,)), (x.to(torch.complex64), (5,)), (x, (4, 5), w),
    ]  # fmt: skip
    refused = 0
    for arguments in calls:
        ours, stock = outcome(row.function, *arguments), outcome(row.original, *arguments)
        assert ours.error is stock.error, (arguments, ours, stock)
        refused += stock.error is not None
        if stock.error is None:
            assert_same_bits(ours.result, stock.result)
    assert refused >= 10
    if name == "layer_norm":
        for bias in (w[:4], double):
            assert outcome(row.function, x, (5,), w, bias).error is outcome(row.original, x, (5,), w, bias).error


@names
def test_nothing_to_normalise(name):
    row = row_named(name)
    for shape, last in (((0, 5), (5,)), ((3, 0), (0,)), ((2, 0, 4), (4,))):
        x = torch.ones(shape, requires_grad=True)
        weight = torch.ones(last, requires_grad=True)
        ours, stock = (f(x, last, weight) for f in (row.function, row.original))
        assert_same_form(ours, stock)
        for mine, other in zip(
            torch.autograd.grad(ours.sum(), (x, weight)), torch.autograd.grad(stock.sum(), (x, weight)), strict=True
        ):
            assert_same_bits(mine, other)


def test_default_epsilon_of_rms_norm():
    for dtype in FLOATING:
        x = (torch.randn(3, 40, dtype=torch.float64) * 1e-4).to(dtype)
        for eps in (None, 0.0, 1e-3):
            torch.testing.assert_close(torchext.rms_norm(x, (40,), eps=eps), F.rms_norm(x, (40,), eps=eps))
        torch.testing.assert_close(torchext.rms_norm(x * 0, (40,)), x * 0)


@dtypes
def test_native_layer_norm(dtype, fast_path):
    """Statistics of ATen's dtype and shape; a gradient from them, with any mask."""
    x, g = torch.randn(3, 4, 50).to(dtype), torch.randn(3, 4, 50).to(dtype)
    for weight in (torch.rand(4, 50).to(dtype), torch.rand(4, 50), None):
        if weight is not None and weight.dtype != dtype and dtype == torch.float64:
            continue
        arguments = (x, (4, 50), weight, weight, 1e-5)
        with fast_path("native_layer_norm"):
            ours = torch.ops.rusttorch.native_layer_norm(*arguments)
        stock = torch.ops.aten.native_layer_norm(*arguments)
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 4 * torch.finfo(dtype).eps}
        for mine, other in zip(ours, stock, strict=True):
            assert_same_form(mine, other)
            torch.testing.assert_close(mine, other, **tolerance)
        if weight is None:
            continue
        for mask in ([True] * 3, [True, False, False], [False, True, False], [False, False, True]):
            saved = (g, x, (4, 50), *stock[1:], weight, weight, mask)
            with fast_path("native_layer_norm_backward"):
                found = torch.ops.rusttorch.native_layer_norm_backward(*saved)
            for mine, other, wanted in zip(found, torch.ops.aten.native_layer_norm_backward(*saved), mask, strict=True):
                assert (mine is not None) == wanted
                if wanted:
                    assert_same_form(mine, other)
                    torch.testing.assert_close(
                        mine, other, rtol=0.05 if dtype.itemsize == 2 else 1e-4, atol=20 * tolerance["atol"]
                    )


def test_fused_rms_norm(fast_path):
    x, weight = torch.randn(6, 50), torch.rand(50)
    with fast_path("_fused_rms_norm"):
        ours = torch.ops.rusttorch._fused_rms_norm(x, (50,), weight, None)
    for mine, other in zip(ours, torch.ops.aten._fused_rms_norm(x, (50,), weight, None), strict=True):
        assert_same_form(mine, other)
        torch.testing.assert_close(mine, other)
    for wrong in ((49,), (6, 49), (2, 6, 50)):
        ours, stock = (
            outcome(o._fused_rms_norm, x, wrong, weight, None) for o in (torch.ops.rusttorch, torch.ops.aten)
        )
        assert ours.error is stock.error


@names
def test_transforms(name):
    row, inputs = row_named(name), detached(inputs_of(name, (4, 5)))
    x, shape, *weights = inputs

    def function(x):
        return row.function(x, shape, *weights)

    def original(x):
        return row.original(x, shape, *weights)

    batch = torch.randn(3, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(torch.vmap(function)(batch), torch.vmap(original)(batch))
    tangent = torch.randn_like(x)
    torch.testing.assert_close(torch.func.jvp(function, (x,), (tangent,)), torch.func.jvp(original, (x,), (tangent,)))
    for transform in (torch.func.jacrev, torch.func.jacfwd, torch.func.hessian):
        torch.testing.assert_close(
            transform(lambda x: function(x).sin().sum(0))(x), transform(lambda x: original(x).sin().sum(0))(x)
        )
    for mode in ("real", "fake", "symbolic"):
        graph = make_fx(lambda x, *w: row.function(x, shape, *w), tracing_mode=mode)(x, *weights)
        torch.testing.assert_close(graph(x, *weights), original(x))
    compiled = torch.compile(function, backend="aot_eager", fullgraph=True, dynamic=True)
    for rows in (4, 7):
        leaf = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(compiled(leaf), original(leaf))
        found, expected = (torch.autograd.grad(f(leaf).square().sum(), leaf) for f in (compiled, original))
        torch.testing.assert_close(found, expected)
    meta = row.function(*(value.to("meta") if isinstance(value, Tensor) else value for value in inputs))
    assert meta.shape == x.shape and meta.is_meta


@names
def test_autocast(name):
    """Not on torch's list for the CPU: the dtype of the input."""
    row, inputs = row_named(name), inputs_of(name, (4, 8), dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = inputs[0] @ torch.ones(8, 8)
        ours, stock = row.function(hidden, *inputs[1:]), row.original(hidden, *inputs[1:])
    assert hidden.dtype == torch.bfloat16
    assert_same_form(ours, stock)
    torch.testing.assert_close(ours, stock, rtol=2**-7, atol=2**-7)


class Tagged(torch.Tensor):
    """A subclass."""


@names
def test_torch_function(name):
    row, inputs = row_named(name), detached(inputs_of(name, (4, 5)))
    result = row.function(inputs[0].as_subclass(Tagged), *inputs[1:])
    assert isinstance(result, Tagged)
    torch.testing.assert_close(result.as_subclass(Tensor), row.original(*inputs))


@names
def test_nested_and_sparse_tensors(name):
    row = row_named(name)
    nested = torch.nested.nested_tensor([torch.rand(2, 3), torch.rand(4, 3)], layout=torch.jagged)
    for tensor in (torch.eye(3).to_sparse(), torch.eye(3).to_mkldnn(), nested):
        ours, stock = (outcome(f, tensor, (3,)) for f in (row.function, row.original))
        assert ours.error is stock.error, (tensor.layout, ours, stock)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("name", ["LayerNorm", "RMSNorm"])
def test_modules(name, affine):
    stock = getattr(torch.nn, name)((3, 8), elementwise_affine=affine)
    module = getattr(torchext.nn, name)((3, 8), elementwise_affine=affine)
    module.load_state_dict(stock.state_dict())
    assert isinstance(module, getattr(torch.nn, name)) and repr(module) == repr(stock)
    x, point = torch.randn(5, 3, 8), {"LayerNorm": "layer_norm", "RMSNorm": "rms_norm"}[name]
    before = taken(point)
    torch.testing.assert_close(module(x), stock(x))
    assert taken(point) == before + 1
    assert torch.equal(copy.deepcopy(module)(x), module(x))
