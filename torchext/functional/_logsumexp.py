"""logsumexp."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function

from torchext._registry import drop_in, matrices
from torchext.functional._calls import general as _general
from torchext.functional._calls import into as _into
from torchext.functional._calls import traced as _ops

__all__ = ["logsumexp"]


@drop_in(
    torch.logsumexp, family="reduction", opinfo="logsumexp", bench_inputs=matrices,
    aten_overloads=("logsumexp", "logsumexp.out"),
)  # fmt: skip
def logsumexp(
    input: Tensor, dim: int | list[int] | tuple[int, ...], keepdim: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """``log(sum(exp(input), dim))``, computed as ``max + log(sum(exp(input - max)))``. At most 6 units off in float32.

    Args:
        input: any shape; integers promote to the default dtype.
        dim: the dimension, or dimensions, to reduce; neighbours run our kernels, others ATen's.
        keepdim: keep reduced dimensions, with size 1.
        out: receives the result, resized if needed.

    Returns:
        A contiguous tensor of the remaining shape; ``out`` if given. Slices of -inf only give -inf, with +inf +inf.

    Raises:
        IndexError: a dimension is out of range.
        RuntimeError: a dimension is given twice.

    Example:
        >>> torchext.logsumexp(torch.tensor([0.0, 0.0]), dim=0)
        tensor(0.6931)

    Source: :func:`torch.logsumexp`.
    """
    if has_torch_function((input, out)):
        return handle_torch_function(logsumexp, (input, out), input, dim, keepdim, out=out)
    dims = (dim,) if isinstance(dim, int) and not isinstance(dim, bool) else dim
    if not isinstance(dims, (tuple, list)):
        return torch.logsumexp(input, dim, keepdim, out=out)  # refuses it, or knows the name of a dimension
    if out is not None:
        return _into(out, "logsumexp", input, dims, keepdim)
    return (_ops if is_dynamo_compiling() else _general).logsumexp(input, dims, keepdim)
