"""Products of int8, and of bfloat16 and float16 where no library computes them fast: by way of a wider dtype."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from support import row_named
from torch import Tensor

import torchext


@pytest.mark.parametrize("operator", ["mm", "bmm"])
def test_int8(operator, instruction_set, fast_path):
    """Wraps as torch's: by the int32 product, so only the last byte matters."""
    a, b = (torch.randint(-128, 128, shape, dtype=torch.int8) for shape in ((3, 80, 70), (3, 90, 70)))
    operands = (a, b.mT) if operator == "bmm" else (a[0], b[0].t())
    with fast_path(operator):
        found = getattr(torchext, operator)(*operands)
    assert found.dtype == torch.int8 and torch.equal(found, getattr(torch, operator)(*operands))
    with pytest.raises(RuntimeError) as ours:
        getattr(torchext, operator)(operands[0], operands[0])
    with pytest.raises(RuntimeError) as torchs:
        getattr(torch, operator)(operands[0], operands[0])
    assert str(ours.value) == str(torchs.value)


def without(is_supported: Callable[[], bool]) -> pytest.MarkDecorator:
    return pytest.mark.skipif(is_supported(), reason="on this CPU these products are oneDNN's")


@pytest.mark.parametrize(
    "dtype",
    [
        pytest.param(torch.bfloat16, marks=without(torch.ops.mkldnn._is_mkldnn_bf16_supported)),
        pytest.param(torch.float16, marks=without(torch.ops.mkldnn._is_mkldnn_fp16_supported)),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mm", "bmm", "addmm", "baddbmm", "matmul", "linear", "linear_act"])
def test_half(name, dtype, instruction_set, fast_path):
    """Computed as float32 and rounded once; forward, out=, and backward."""
    x, w, bias = (torch.randn(shape, dtype=dtype) for shape in ((2, 24, 40), (2, 40, 16), (16,)))
    operands = {
        "mm": (x[0], w[0]),
        "matmul": (x, w[0]),
        "bmm": (x, w),
        "addmm": (bias, x[0], w[0]),
        "baddbmm": (bias, x, w),
        "linear": (x, w[0].t(), bias),
        "linear_act": (x, w[0].t(), bias, "relu"),
    }[name]
    row = row_named(name)
    wide = [value.double() if isinstance(value, Tensor) else value for value in operands]
    exact = row.function(*wide)
    with fast_path("mm" if name == "matmul" else name):
        found = row.function(*operands)
    assert found.dtype == dtype
    # Half a unit of the result, and what float32 adds to it over 41 terms.
    bound = torch.finfo(dtype).eps / 2 * exact.abs() + 1e-5
    assert ((found.double() - exact).abs() <= bound).all()
    if name not in ("matmul", "linear", "linear_act"):
        out = torch.empty_like(found)
        with fast_path(name):
            row.function(*operands, out=out)
        assert torch.equal(out, found)
    leaves = [value.clone().requires_grad_() if isinstance(value, Tensor) else value for value in operands]
    doubles = [value.clone().requires_grad_() if isinstance(value, Tensor) else value for value in wide]
    row.function(*leaves).sum().backward()
    row.function(*doubles).sum().backward()
    for leaf, double in zip(leaves, doubles, strict=True):
        if isinstance(leaf, Tensor):
            torch.testing.assert_close(leaf.grad.double(), double.grad, rtol=2e-2, atol=5e-2)


def test_patched_half():
    """Models in bfloat16 reach it, too."""
    layer = torch.nn.Linear(64, 32, dtype=torch.bfloat16)
    x = torch.randn(20, 64, dtype=torch.bfloat16)
    expected = torch.nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double())
    with torchext.patched(memory=False):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.double(), expected, rtol=2e-2, atol=2e-2)
