"""logsumexp: special values, dimensions, derivatives."""

from __future__ import annotations

import pytest
import torch
from support import assert_same_bits, outcome, taken
from torch.autograd import gradcheck, gradgradcheck

import torchext

inf, nan = torch.inf, torch.nan


@pytest.mark.parametrize("dim", [0, 1])
def test_logsumexp_of_special_rows(dim, instruction_set, fast_path):
    rows = [
        [-inf] * 9, [inf] + [1.0] * 8, [inf] * 9, [-inf] + [0.0] * 8, [3e38] * 9, [-3e38] * 9, [nan] + [1.0] * 8,
        [1.0] * 4 + [nan] + [inf] * 4, [-inf] * 8 + [nan], [inf] + [-inf] * 8, [1e-45] * 9,
    ]  # fmt: skip
    for repeats in (1, 9):
        for dtype in (torch.float32, torch.float64, torch.bfloat16):
            x = torch.tensor(rows).repeat(1, repeats).to(dtype)
            x = (x.t().contiguous() if dim == 0 else x).requires_grad_()
            with fast_path("logsumexp", "_logsumexp_backward"):
                result = torchext.logsumexp(x, dim)
                gradient = torch.autograd.grad(result.sum(), x)[0]
            expected = torch.logsumexp(x, dim)
            torch.testing.assert_close(result, expected, equal_nan=True)
            torch.testing.assert_close(gradient, torch.autograd.grad(expected.sum(), x)[0], equal_nan=True)


def test_logsumexp_dims(fast_path):
    """Neighbours in any order, and those that are none; keepdim; out= of every kind."""
    x = torch.randn(3, 4, 5, 6)
    for dims in [(1, 2), (2, 1), (-1, 2), (0, 1, 2, 3), 2, (3,), [0, 1]]:
        for keepdim in (False, True):
            with fast_path("logsumexp"):
                torch.testing.assert_close(torchext.logsumexp(x, dims, keepdim), torch.logsumexp(x, dims, keepdim))
    before = taken("logsumexp", "arguments")
    assert_same_bits(torchext.logsumexp(x, (0, 2)), torch.logsumexp(x, (0, 2)))
    assert taken("logsumexp", "arguments") > before
    for dims in ((0, 0), 9, (1, -3), None, 1.5, "a", True, torch.tensor(1), ()):
        assert outcome(torchext.logsumexp, x, dims).error is outcome(torch.logsumexp, x, dims).error, dims
    out = torch.empty(0)
    with fast_path("logsumexp"):
        assert torchext.logsumexp(x, 1, out=out) is out
    torch.testing.assert_close(out, torch.logsumexp(x, 1))


def test_gradcheck(fast_path):
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    for dims, keepdim in ((0, False), ((0, 1), True), ((0, 1), False), (-1, True)):

        def reduced(x, dims=dims, keepdim=keepdim):
            return torchext.logsumexp(x, dims, keepdim)

        with fast_path("logsumexp", "_logsumexp_backward"):
            assert gradcheck(reduced, (x,), check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(reduced, (x,))
