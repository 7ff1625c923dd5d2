"""linear_cross_entropy: torch's values and gradients, and never the logits."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from support import FLOATING, assert_same_bits, taken
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, vmap

import torchext


@pytest.fixture(autouse=True)
def _chunks_of_small_problems(monkeypatch):
    """Else only logits of 64 MiB and more go in chunks."""
    monkeypatch.setattr("torchext.functional._linear_entropy._WORTHWHILE", 0)


def problem(rows=200, features=12, classes=30, dtype=torch.float32):
    x = torch.randn(rows, features).to(dtype)
    weight, bias = (torch.randn(classes, features) / 3).to(dtype), torch.randn(classes).to(dtype)
    return x, weight, torch.randint(classes, (rows,)), bias


def run(function, x, matrix, target, bias, **kwargs):
    leaves = [t.detach().clone().requires_grad_() for t in (x, matrix, bias)]
    loss = function(leaves[0], leaves[1], target, linear_bias=leaves[2], **kwargs)
    return loss.detach(), *torch.autograd.grad(loss, leaves, torch.ones_like(loss) * 1.5)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_values_and_gradients(dtype, reduction, fast_path):
    """Against float64. The dtype of the logits is that of the input, in torch as here: their rounding decides."""
    x, weight, target, bias = problem(dtype=dtype)
    factors = torch.rand(30) + 0.5
    for kwargs in (
        {}, {"ignore_index": 3}, {"label_smoothing": 0.2}, {"weight": factors},
        {"weight": factors, "label_smoothing": 0.1, "ignore_index": 7},
    ):  # fmt: skip
        options = {k: v.to(dtype) if k == "weight" else v for k, v in kwargs.items()} | {"reduction": reduction}
        with fast_path("cross_entropy_loss", "_cross_entropy_backward"):
            ours = run(torchext.linear_cross_entropy, x, weight, target, bias, **options)
        wide = {k: v.double() if k == "weight" else v for k, v in options.items()}
        wide["weight"] = options["weight"].double() if "weight" in options else None
        expected = run(F.linear_cross_entropy, x.double(), weight.double(), target, bias.double(), **wide)
        epsilon = torch.finfo(dtype).eps
        for mine, reference in zip(ours, expected, strict=True):
            assert mine.dtype == dtype
            scale = float(reference.abs().max())
            torch.testing.assert_close(mine.double(), reference, rtol=32 * epsilon, atol=32 * epsilon * scale)


def test_only_what_is_asked_for():
    x, weight, target, bias = problem()
    for wanted in range(3):
        results = []
        for function in (torchext.linear_cross_entropy, F.linear_cross_entropy):
            leaves = [t.detach().clone().requires_grad_(i == wanted) for i, t in enumerate((x, weight, bias))]
            loss = function(leaves[0], leaves[1], target, linear_bias=leaves[2])
            loss.backward()
            assert sum(leaf.grad is not None for leaf in leaves) == 1
            results.append(leaves[wanted].grad)
        torch.testing.assert_close(*results)
    with torch.no_grad():
        torch.testing.assert_close(
            torchext.linear_cross_entropy(x, weight, target), F.linear_cross_entropy(x, weight, target)
        )
    assert not torchext.linear_cross_entropy(x, weight, target).requires_grad
    with pytest.raises(IndexError, match="Target 30 is out of bounds"):
        torchext.linear_cross_entropy(x, weight, target + 30 - target)
    ignored = torch.full_like(target, -100)
    assert torchext.linear_cross_entropy(x, weight, ignored).isnan()
    assert torchext.linear_cross_entropy(x, weight, ignored, reduction="sum") == 0


def test_gradcheck():
    x, weight, target, bias = problem(40, 3, 4, torch.float64)
    inputs = [t.requires_grad_() for t in (x, weight, bias)]

    def function(x, weight, bias):
        return torchext.linear_cross_entropy(x, weight, target, linear_bias=bias, label_smoothing=0.1)

    before = taken("_cross_entropy_backward")
    assert gradcheck(function, inputs, check_forward_ad=True)
    assert taken("_cross_entropy_backward") > before
    assert gradgradcheck(function, inputs)


def test_transforms_and_compile():
    x, weight, target, _ = problem(40, 3, 4)
    torch.testing.assert_close(
        grad(torchext.linear_cross_entropy)(x, weight, target), grad(F.linear_cross_entropy)(x, weight, target)
    )
    torch.testing.assert_close(
        vmap(torchext.linear_cross_entropy, (0, None, 0))(x, weight, target),
        vmap(F.linear_cross_entropy, (0, None, 0))(x, weight, target),
    )
    torch._dynamo.reset()
    compiled = torch.compile(torchext.linear_cross_entropy, fullgraph=True, backend="aot_eager")
    leaf = x.clone().requires_grad_()
    compiled(leaf, weight, target).backward()
    torch.testing.assert_close(leaf.grad, grad(F.linear_cross_entropy)(x, weight, target))
    with torch.autocast("cpu", torch.bfloat16):
        assert_same_bits(torchext.linear_cross_entropy(x, weight, target), F.linear_cross_entropy(x, weight, target))


def test_any_number_of_threads():
    x, weight, target, bias = problem(3000, 16, 50)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(run(torchext.linear_cross_entropy, x, weight, target, bias))
    for other in results[1:]:
        for one, first in zip(other, results[0], strict=True):
            assert_same_bits(one, first)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "rows, features, classes, turned",
    [(4096, 32, 2048, False), (4096, 32, 2048, True), (340, 1024, 24000, False)],
    ids=["", "turned", "wide"],
)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_memory(reduction, rows, features, classes, turned, dtype):
    """Forward and backward need less than a tenth of the logits beside the gradients themselves."""
    x, weight, target, _ = problem(rows, features, classes)
    weight = weight.t().contiguous().t() if turned else weight
    x, weight = x.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
    logits = rows * classes * x.element_size()
    gradients = (x.numel() + weight.numel()) * x.element_size()

    def peak(function) -> int:
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            function(x, weight, target, reduction=reduction).backward()
        x.grad = weight.grad = None
        held = highest = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                held += event.nbytes()
                highest = max(highest, held)
        return highest

    assert peak(F.linear_cross_entropy) > logits  # the measure works
    assert peak(torchext.linear_cross_entropy) < gradients + logits / 10


def test_backward_twice():
    """A graph that is kept gives fresh gradients each time; one that is not gives those of forward."""
    x, weight, target, bias = problem()
    leaves = [t.requires_grad_() for t in (x, weight, bias)]
    loss = torchext.linear_cross_entropy(x, weight, target, linear_bias=bias)
    factor = torch.tensor(2.0)
    first = torch.autograd.grad(loss, leaves, factor, retain_graph=True)
    for gradient in first:
        gradient.zero_()
    expected = torch.autograd.grad(F.linear_cross_entropy(x, weight, target, linear_bias=bias), leaves)
    torch.testing.assert_close(
        torch.autograd.grad(loss, leaves, factor, retain_graph=True), tuple(2 * gradient for gradient in expected)
    )
    torch.testing.assert_close(torch.autograd.grad(loss, leaves), expected)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(loss, leaves)
