"""torch.library.opcheck for every overload: schema, autograd registration, fake tensors, AOT dispatch."""

from __future__ import annotations

import pytest
import torch
from operators import FUNCTIONAL, OVERLOADS, arguments


def with_grad(overload, values: list) -> list:
    """Numbers in tensors (a total weight) have no derivative, nor have statistics that were saved."""
    return [
        value.requires_grad_()
        if isinstance(value, torch.Tensor)
        and value.is_floating_point()
        and value.dim()
        and argument.name not in ("mean", "rstd")
        else value
        for argument, value in zip(overload._schema.arguments, values, strict=False)
    ]


@pytest.mark.parametrize("name", OVERLOADS)
def test_opcheck(name):
    positional, keywords = arguments(OVERLOADS[name])
    torch.library.opcheck(OVERLOADS[name], tuple(positional), keywords)


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_opcheck_with_gradients(name):
    positional, keywords = arguments(OVERLOADS[name])
    torch.library.opcheck(OVERLOADS[name], tuple(with_grad(OVERLOADS[name], positional)), keywords)
