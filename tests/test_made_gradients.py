"""Gradients that forward makes: when they are made, when not, and that nobody can tell but by the time."""

from __future__ import annotations

import threading

import pytest
import torch
import torch.nn.functional as F
from support import assert_same_bits, outcome, streaming_above, taken
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import torchext

MADE = "_cross_entropy_backward"  # the decision point of both ways to the gradient


def problem(shape=(37, 91), dtype=torch.float32):
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    return x, torch.randint(shape[-1], shape[:-1])


def gradient_made(function, point=MADE) -> bool:
    """Whether the forward call counts as a computed gradient."""
    before = taken(point)
    function()
    return taken(point) > before


def check_bits(function, x, other, options, point):
    """Forward makes the gradient, and it has the bits of the formula: streamed or not, for any number of threads."""
    before = taken(point)
    loss = function(x, other, **options)
    assert taken(point) == before + 1
    assert_same_bits(loss.detach(), function(x.detach(), other, **options))
    made = torch.autograd.grad(loss, x, retain_graph=True)[0]
    assert taken(point) == before + 1
    computed = torch.autograd.grad(loss, x, retain_graph=True)[0]
    assert taken(point) == before + 2
    assert_same_bits(made, computed)
    differentiable = torch.autograd.grad(loss, x, create_graph=True)[0]
    torch.testing.assert_close(differentiable.detach(), made)
    usual = torchext._C.memory.streaming_threshold()
    for threshold, threads in ((0, 2), (usual, 1)):
        torch.set_num_threads(threads)
        with streaming_above(threshold):
            again = function(x, other, **options)
        torch.set_num_threads(2)
        assert_same_bits(again.detach(), loss.detach())
        assert_same_bits(torch.autograd.grad(again, x)[0], made)


LOSSES = [
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
]  # fmt: skip


def loss_keywords(name, shape, dtype):
    """Reductions and factors that the loss takes."""
    yield {}
    yield {"reduction": "sum"}
    if name != "smooth_l1_loss":
        yield {"weight": torch.rand(shape, dtype=dtype)}
        some = shape[-1:] if "binary" in name else shape  # these broadcast
        yield {"weight": torch.rand(some, dtype=dtype), "reduction": "sum"}
    if "logits" in name:
        yield {"pos_weight": torch.rand(shape[-1:], dtype=dtype) + 0.5}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (37, 91), (7, 40_001)], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_give_the_same_bits_as_the_formula(name, shape, dtype, instruction_set):
    function, point = getattr(torchext, name), f"{name}_backward"
    x, y = torch.rand(shape, dtype=dtype, requires_grad=True), torch.rand(shape, dtype=dtype)
    for options in loss_keywords(name, shape, dtype):
        check_bits(function, x, y, options, point)


@pytest.mark.parametrize("name", LOSSES)
def test_where_losses_do_not_make_it(name):
    """Also: the strides of torch's gradient are the formula's business."""
    function, stock, point = getattr(torchext, name), getattr(F, name), f"{name}_backward"
    x, y = torch.rand(9, 7, requires_grad=True), torch.rand(9, 7)
    assert gradient_made(lambda: function(x, y), point)
    assert not gradient_made(lambda: function(x.detach(), y), point)
    assert not gradient_made(lambda: function(x, y, reduction="none"), point)
    assert not gradient_made(lambda: function(x.bfloat16(), y.bfloat16()), point)
    with torch.autograd.graph.save_on_cpu():
        assert not gradient_made(lambda: function(x, y), point)
    for inputs in ((x.t(), y.t()), (x, y), (x.t(), torch.rand(7, 9)), (x[:, ::2], y[:, ::2])):
        ours, theirs = (torch.autograd.grad(f(*inputs) * 3, inputs[0])[0] for f in (function, stock))
        torch.testing.assert_close(ours, theirs)
        assert ours.stride() == theirs.stride()
    for argument in (0, 1):
        inputs = [x * 1, y.clone()]
        loss = function(*inputs)
        inputs[argument].detach().zero_()
        assert outcome(loss.backward).error is RuntimeError


def test_wrong_input_leaves_nothing():
    """binary_cross_entropy beyond [0, 1] is refused, gradient or not."""
    x, y = torch.full((9,), 1.5, requires_grad=True), torch.rand(9)
    for function in (torchext.binary_cross_entropy, F.binary_cross_entropy):
        assert outcome(function, x, y).error is RuntimeError


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("shape", [(1, 1), (37, 91), (300, 50), (7, 4097), (6,), (9, 40_001)], ids=str)
def test_cross_entropy_gives_the_same_bits_as_the_formula(shape, dtype, instruction_set):
    x, target = problem(shape, dtype)
    weight = torch.rand(shape[-1], dtype=dtype) + 0.1
    for options in ({}, {"reduction": "sum"}, {"weight": weight, "ignore_index": int(target.flatten()[0])},
                    {"label_smoothing": 0.2}, {"weight": weight, "label_smoothing": 0.2}):  # fmt: skip
        check_bits(torchext.cross_entropy, x, target, options, MADE)


@pytest.mark.parametrize("factor", [0.25, 3.0, 0.0, -1.5])
def test_factors(factor):
    x, target = problem()
    expected = torch.autograd.grad(F.cross_entropy(x, target) * factor, x)[0]
    before = taken(MADE)
    torch.testing.assert_close(torch.autograd.grad(torchext.cross_entropy(x, target) * factor, x)[0], expected)
    assert taken(MADE) == before + 1


@pytest.mark.parametrize("factor", [torch.inf, torch.nan])
def test_ignored_rows_of_infinite_gradients(factor):
    x, target = problem()
    target[::2] = 5
    ours, stock = (
        torch.autograd.grad(function(x, target, ignore_index=5) * factor, x)[0]
        for function in (torchext.cross_entropy, F.cross_entropy)
    )
    torch.testing.assert_close(ours, stock, equal_nan=True)


def test_where_it_is_not_made():
    """No graph, losses of their own, reduced precision, other dimensions, hooks: saving memory, or nothing to gain."""
    x, target = problem()
    assert gradient_made(lambda: torchext.cross_entropy(x, target))
    assert not gradient_made(lambda: torchext.cross_entropy(x.detach(), target))
    assert not gradient_made(lambda: torchext.cross_entropy(x, target, reduction="none"))
    assert not gradient_made(lambda: torchext.cross_entropy(x.bfloat16(), target))
    assert not gradient_made(lambda: torchext.cross_entropy(x[None], target[:1, None].expand(1, 91) * 0))
    with torch.no_grad():
        assert not gradient_made(lambda: torchext.cross_entropy(x, target))
    with torch.autograd.graph.save_on_cpu():
        assert not gradient_made(lambda: torchext.cross_entropy(x, target))
    stock = torch.autograd.grad(F.cross_entropy(x, target), x)[0]
    for reentrant in (False, True):
        loss = checkpoint(torchext.cross_entropy, x, target, use_reentrant=reentrant)
        x.grad = None
        loss.backward()
        torch.testing.assert_close(x.grad, stock)


def test_overwritten_arguments():
    """As in torch: logits may be written to after the call, targets may not."""
    x, target = problem()
    expected = torch.autograd.grad(F.cross_entropy(x, target), x)[0]
    for function in (torchext.cross_entropy, F.cross_entropy):
        logits = x * 1
        loss = function(logits, target)
        logits.detach().zero_()
        torch.testing.assert_close(torch.autograd.grad(loss, x)[0], expected)
        changed = target.clone()
        loss = function(x, changed)
        changed.zero_()
        assert outcome(loss.backward).error is RuntimeError
        loss = function(x, target)
        loss.backward()
        assert outcome(loss.backward).error is RuntimeError


def test_gradients_are_not_shared():
    """What backward hands out is the caller's: writing to it changes no other."""
    x, target = problem()
    loss = torchext.cross_entropy(x, target)
    first = torch.autograd.grad(loss, x, retain_graph=True)[0]
    kept = first.clone()
    first.zero_()
    assert_same_bits(torch.autograd.grad(loss, x, retain_graph=True)[0], kept)


FUNCTIONS = [torchext.cross_entropy, torchext.mse_loss, torchext.relu]


@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_concurrent_backward(function, retain):
    """Threads through one graph: each gets its gradient, or is told that the graph is gone; nobody crashes."""
    count = 4
    losses, barrier = [], threading.Barrier(count, timeout=60)
    for _ in range(200):
        x = torch.randn(64, 20, requires_grad=True)
        y = torch.randint(20, (64,)) if function is torchext.cross_entropy else torch.rand(64, 20)
        losses.append((x, function(x).sum() if function is torchext.relu else function(x, y)))
    found = [[] for _ in losses]

    def run():
        for (x, loss), gradients in zip(losses, found, strict=True):
            barrier.wait()
            try:
                gradients.append(torch.autograd.grad(loss, x, retain_graph=retain)[0])
            except RuntimeError as error:
                assert "second time" in str(error) and not retain

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for gradients in found:
        assert 1 <= len(gradients) <= count and (not retain or len(gradients) == count)
        for gradient in gradients[1:]:
            assert_same_bits(gradient, gradients[0])
        assert len({gradient.data_ptr() for gradient in gradients}) == len(gradients)


def test_tangent_of_grad_output():
    """A dual factor reaches the gradient by the formula, which torch's forward mode differentiates."""
    x, target = problem()
    y = torch.rand(37, 91)
    for ours, stock, other in ((torchext.cross_entropy, F.cross_entropy, target), (torchext.l1_loss, F.l1_loss, y)):
        tangents = []
        for function in (ours, stock):
            with forward_ad.dual_level():
                factor = forward_ad.make_dual(torch.tensor(2.0), torch.tensor(3.0))
                gradient = torch.autograd.grad(function(x, other), x, factor)[0]
                tangents.append(forward_ad.unpack_dual(gradient).tangent)
        torch.testing.assert_close(*tangents)


def test_graph_of_a_gradient_without_rows():
    x, target = problem()
    ours, stock = (
        torch.autograd.grad(function(x, target * 0 + 5, ignore_index=5), x, create_graph=True)[0]
        for function in (torchext.cross_entropy, F.cross_entropy)
    )
    torch.testing.assert_close(ours, stock)


def test_batched_gradients():
    x, target = problem((5, 4), torch.float64)
    loss = torchext.cross_entropy(x, target)
    factors = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    batched = torch.autograd.grad(loss, x, factors, is_grads_batched=True, retain_graph=True)[0]
    single = torch.autograd.grad(loss, x)[0]
    torch.testing.assert_close(batched, factors[:, None, None] * single)
