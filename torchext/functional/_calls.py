"""Three ways to the same operators, by the time a call takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from torchext import _C

SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)

# torch.ops: what a compiler traces; 2 to 3 us.
traced = torch.ops.rusttorch
# pybind11 functions on the typed dispatcher handle; 0.5 us more than the next.
general = _C
# Functions for plain tensors and numbers; anything else gets NotImplemented.
fast = _C.fast
# Make such a function of an operator (functional or in-place) that takes one tensor, further arguments being fixed.
unary: Callable[..., Callable[[Tensor], Any]] = _C.fast.unary
unary_: Callable[[str], Callable[[Tensor], Any]] = _C.fast.unary_


def route(*numbers: Any) -> Any:
    """``traced`` while a compiler looks on, and for symbolic numbers, whose value must not be asked for."""
    return traced if is_dynamo_compiling() or any(isinstance(number, SYMBOLIC) for number in numbers) else general


def into(out: Any, name: str, *args: Any, **kwargs: Any) -> Tensor:
    """The operator ``name`` with its result written to ``out``."""
    if not isinstance(out, Tensor):
        raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(out).__name__}")
    result: Tensor = getattr(traced, name)(*args, **kwargs, out=out)
    return result
