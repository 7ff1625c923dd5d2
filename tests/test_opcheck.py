"""torch.library.opcheck for every overload: schema, autograd registration, fake tensors, AOT dispatch."""

from __future__ import annotations

import pytest
import torch
from operators import FUNCTIONAL, OVERLOADS, arguments


def with_grad(values: list) -> list:
    """Numbers in tensors (a total weight) have no derivative."""
    return [
        value.requires_grad_()
        if isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim()
        else value
        for value in values
    ]


@pytest.mark.parametrize("name", OVERLOADS)
def test_opcheck(name):
    positional, keywords = arguments(OVERLOADS[name])
    torch.library.opcheck(OVERLOADS[name], tuple(positional), keywords)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_opcheck_with_gradients(name):
    positional, keywords = arguments(OVERLOADS[name])
    torch.library.opcheck(OVERLOADS[name], tuple(with_grad(positional)), keywords)
