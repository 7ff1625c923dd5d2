"""Tensors on another device are PyTorch's own business: the same results, by none of our kernels."""

from __future__ import annotations

import pytest
import torch
from support import all_taken
from torch import Tensor

import torchext
from torchext import _registry

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

ROWS = [row for row in _registry.rows() if row.family != "dropout"]


def on_cuda(value: object, gradient: bool) -> object:
    if not isinstance(value, Tensor):
        return value
    return value.cuda().requires_grad_(gradient and value.is_floating_point())


@pytest.mark.parametrize("patched", [False, True], ids=["called", "patched"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_same_results(row, patched):
    """Forward and, where there is one, backward of what the benchmark calls."""
    for case in row.bench_inputs(4096, torch.float32):
        args = [on_cuda(value, False) for value in case.args]
        kwargs = {name: on_cuda(value, False) for name, value in case.kwargs.items()}
        expected = row.original(*args, **kwargs)
        before = all_taken()
        if patched:
            with torchext.patched():
                found = row.original(*args, **kwargs)
        else:
            found = row.function(*args, **kwargs)
        assert all_taken() == before
        for a, b in zip(*((x,) if isinstance(x, Tensor) else x for x in (found, expected)), strict=True):
            assert a.device.type == "cuda"
            torch.testing.assert_close(a, b)
        if not row.differentiable:
            continue
        gradients = []
        for function in (row.original, row.function):
            leaves = [on_cuda(value, i == 0) for i, value in enumerate(case.args)]
            out = function(*leaves, **kwargs)
            out = out if isinstance(out, Tensor) else out[0]
            gradients.append(torch.autograd.grad(out.sum(), leaves[0])[0])
        assert all_taken() == before
        torch.testing.assert_close(gradients[1], gradients[0])


def test_dropout():
    x = torch.ones(1000, device="cuda")
    before = all_taken()
    y = torchext.dropout(x, 0.25, training=True)
    assert all_taken() == before
    torch.testing.assert_close(y[y > 0], torch.full_like(y[y > 0], 1 / 0.75))
    assert 600 < (y > 0).sum() < 900


def test_memory():
    """The pool serves the CPU alone, and copies between the devices work from pooled memory."""
    torchext.memory.install()
    try:
        x = torch.randn(1 << 20)
        assert torch.equal(x.cuda().cpu(), x)
    finally:
        torchext.memory.uninstall()
