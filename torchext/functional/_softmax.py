"""softmax and log_softmax."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function_unary

from torchext._registry import drop_in, matrices
from torchext.functional._calls import general as _general
from torchext.functional._calls import traced as _ops

__all__ = [
    "softmax", "log_softmax",
]  # fmt: skip


def _softmax_dim(name: str, dim: int | None, dimensions: int, stacklevel: int) -> int:
    """torch's default for a missing ``dim``, which warns."""
    if dim is not None:
        return dim
    default: int = F._get_softmax_dim(name, dimensions, stacklevel)  # type: ignore[attr-defined]
    return default


@drop_in(
    F.softmax, family="softmax", opinfo="softmax", bench_inputs=matrices,
    aten_overloads=("softmax.int", "softmax.int_out", "_softmax_backward_data"),
)  # fmt: skip
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """``exp(input) / sum(exp(input), dim)``. No copy, whatever the ``dim``.

    Error in float32 at most 5 units beyond the rounding of ``input - max``, which is half its last place as in torch.

    Args:
        input: any shape; floating.
        dim: the dimension along which the result sums to 1.
        dtype: cast the input to this dtype first.

    Returns:
        A contiguous tensor of ``input``'s shape. Slices of -inf only, or with +inf, give NaN.

    Raises:
        IndexError: ``dim`` is out of range.
        RuntimeError: an integer input without ``dtype``.

    Example:
        >>> torchext.softmax(torch.tensor([0.0, 0.0]), dim=0)
        tensor([0.5000, 0.5000])

    Source: :func:`torch.nn.functional.softmax`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(softmax, (input,), input, dim=dim, _stacklevel=_stacklevel, dtype=dtype)
    dim = _softmax_dim("softmax", dim, input.dim(), _stacklevel)
    return (_ops if is_dynamo_compiling() else _general).softmax(input, dim, dtype)


@drop_in(
    F.log_softmax, family="softmax", opinfo="log_softmax", bench_inputs=matrices,
    aten_overloads=("log_softmax.int", "log_softmax.int_out", "_log_softmax_backward_data"),
)  # fmt: skip
def log_softmax(
    input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None
) -> Tensor:
    """``log(softmax(input, dim))``, computed as ``input - max - log(sum(exp(input - max)))``.

    Args, result and errors as for :func:`softmax`.

    Example:
        >>> torchext.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
        tensor([-0.6931, -0.6931])

    Source: :func:`torch.nn.functional.log_softmax`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(log_softmax, (input,), input, dim=dim, _stacklevel=_stacklevel, dtype=dtype)
    dim = _softmax_dim("log_softmax", dim, input.dim(), _stacklevel)
    return (_ops if is_dynamo_compiling() else _general).log_softmax(input, dim, dtype)
