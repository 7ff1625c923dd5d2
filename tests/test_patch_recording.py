"""What records, transforms or compiles calls works while torch is patched."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from support import patch_hits as hits
from torch import nn

import torchext


def test_scripting_tracing_exporting():
    """Whatever records torch's calls sees torch's own, and what was recorded runs."""
    x, target = torch.randn(2, 3), torch.tensor([0, 2])
    loss = nn.CrossEntropyLoss()
    expected = loss(x, target)
    with torchext.patched(memory=False):
        scripted = torch.jit.script(loss)
        traced = torch.jit.trace(F.cross_entropy, (x, target))
        symbolic = torch.fx.symbolic_trace(lambda a, b: F.cross_entropy(F.gelu(a), b))
        exported = torch.export.export(loss, (x, target))
        for recorded in (scripted, traced, exported.module()):
            torch.testing.assert_close(recorded(x, target), expected)
    assert "rusttorch" not in str(traced.graph) + str(scripted.graph) + str(exported.graph) + str(symbolic.graph)
    assert any(node.target is F.cross_entropy for node in symbolic.graph.nodes)
    torch.testing.assert_close(scripted(x, target), expected)


def test_compile():
    x, target = torch.randn(4, 3), torch.tensor([0, 2, 1, 1])

    def function(a):
        return F.cross_entropy(F.mish(a) * 2, target) + F.l1_loss(a, a * 2)

    expected = function(x)
    with torchext.patched(memory=False):
        compiled = torch.compile(function, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(x), expected)
    torch.testing.assert_close(compiled(x), expected)


def test_transforms():
    x = torch.randn(3, 4, dtype=torch.float64)

    def function(a):
        return (F.gelu(a) * torch.sigmoid(a)).sum() + torch.logsumexp(a, -1).sum() + F.l1_loss(a, torch.ones_like(a))

    transformed = {
        "grad": torch.func.grad(function),
        "vmap": torch.vmap(function),
        "per-sample gradients": torch.vmap(torch.func.grad(function)),
        "jvp": lambda a: torch.func.jvp(function, (a,), (torch.ones_like(a),)),
        "hessian": torch.func.hessian(function),
        "checkpoint": lambda a: torch.utils.checkpoint.checkpoint(function, a, use_reentrant=False),
    }
    expected = {name: transform(x) for name, transform in transformed.items()}
    with torchext.patched(memory=False):
        for name, transform in transformed.items():
            torch.testing.assert_close(transform(x), expected[name])
        assert hits()["aten::gelu"] > 0
        assert torch.autograd.gradcheck(function, (x.clone().requires_grad_(),))
        assert torch.autograd.gradgradcheck(function, (x.clone().requires_grad_(),))


def test_autocast_and_deterministic_mode():
    x, target = torch.randn(4, 8), torch.tensor([0, 1, 2, 3])
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 5), nn.Softmax(-1))

    def run():
        with torch.autocast("cpu", torch.bfloat16):
            y = model(x)
            return y, F.cross_entropy(y, target)

    expected = run()
    torch.use_deterministic_algorithms(True)
    try:
        with torchext.patched(memory=False):
            found = run()
    finally:
        torch.use_deterministic_algorithms(False)
    for mine, stock in zip(found, expected, strict=True):
        assert mine.dtype == stock.dtype
        torch.testing.assert_close(mine, stock, rtol=2e-2, atol=2e-2)
