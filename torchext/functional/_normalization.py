"""layer_norm and rms_norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_variadic

from torchext._registry import drop_in, normalized, scaled
from torchext.functional._calls import route as _route

__all__ = [
    "layer_norm", "rms_norm",
]  # fmt: skip


@drop_in(
    F.layer_norm, family="normalization", opinfo="nn.functional.layer_norm", bench_inputs=normalized,
    aten_overloads=("layer_norm", "native_layer_norm", "native_layer_norm_backward"),
)  # fmt: skip
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """``(input - mean) / sqrt(var + eps) * weight + bias`` over the last dimensions.

    Mean and variance take two passes over a row in the first-level cache, whose rounding errors do not grow with the
    mean; gradients of ``weight`` and ``bias`` are added in an order that does not depend on the number of threads.

    Args:
        input: ``(..., *normalized_shape)``; floating.
        normalized_shape: the last sizes of ``input``.
        weight: factors of that shape, in ``input``'s dtype, or in float32 for a reduced precision.
        bias: summands, likewise.
        eps: added to the variance.

    Returns:
        A contiguous tensor of ``input``'s shape and dtype.

    Raises:
        RuntimeError: shapes or dtypes that do not go together.

    Example:
        >>> torchext.layer_norm(torch.tensor([1.0, 3.0]), (2,))
        tensor([-1.0000,  1.0000])

    Source: :func:`torch.nn.functional.layer_norm`.
    """
    if has_torch_function_variadic(input, weight, bias):
        return handle_torch_function(
            layer_norm, (input, weight, bias), input, normalized_shape, weight=weight, bias=bias, eps=eps
        )
    return _route(*normalized_shape).layer_norm(
        input, normalized_shape, weight, bias, eps, torch.backends.cudnn.enabled
    )


@drop_in(
    F.rms_norm, family="normalization", opinfo="nn.functional.rms_norm", bench_inputs=scaled,
    aten_overloads=("rms_norm", "_fused_rms_norm", "_fused_rms_norm_backward"),
)  # fmt: skip
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """``input / sqrt(mean(input ** 2) + eps) * weight`` over the last dimensions. One kernel instead of six.

    Args:
        input: ``(..., *normalized_shape)``; floating.
        normalized_shape: the last sizes of ``input``.
        weight: factors of that shape, in ``input``'s dtype, or in float32 for a reduced precision.
        eps: added to the mean; by default the epsilon of the dtype that is computed in.

    Returns:
        A tensor of ``input``'s shape and dtype.

    Raises:
        RuntimeError, ValueError: shapes that do not go together.

    Example:
        >>> torchext.rms_norm(torch.tensor([3.0, 4.0]), (2,))
        tensor([0.8485, 1.1314])

    Source: :func:`torch.nn.functional.rms_norm`.
    """
    if has_torch_function_variadic(input, weight):
        return handle_torch_function(rms_norm, (input, weight), input, normalized_shape, weight=weight, eps=eps)
    return _route(*normalized_shape).rms_norm(input, normalized_shape, weight, eps)
