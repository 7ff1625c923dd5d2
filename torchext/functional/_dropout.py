"""dropout and bernoulli_."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function_unary

from torchext._registry import drop_in, flat
from torchext.functional._calls import general as _general

__all__ = [
    "dropout", "bernoulli_",
]  # fmt: skip


@drop_in(
    F.dropout, family="dropout", opinfo="nn.functional.dropout", bench_inputs=flat,
    aten_overloads=("dropout", "dropout_", "native_dropout"), random=True, redirected=True,
)  # fmt: skip
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zeroes elements with probability ``p``, and divides the others by ``1 - p``.

    The random numbers are those of a counter-based generator (Philox4x32), whose key comes from torch's default
    generator: ``torch.manual_seed`` makes them reproducible, and they do not depend on the number of threads. They are
    not those that torch would draw.

    Args:
        input: any shape; floating.
        p: the probability, in [0, 1]; met to within 2^-33.
        training: without it, the result is ``input`` itself.
        inplace: writes the result to ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        ValueError: ``p`` is out of range.

    Example:
        >>> torchext.dropout(torch.ones(3), p=1.0)
        tensor([0., 0., 0.])

    Source: :func:`torch.nn.functional.dropout`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(dropout, (input,), input, p=p, training=training, inplace=inplace)
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    # Compilers draw by their own rules, and what draws nothing is torch's.
    if is_dynamo_compiling() or not training or p == 0:
        return torch.dropout_(input, p, training) if inplace else torch.dropout(input, p, training)
    return _general.dropout_(input, p, training) if inplace else _general.dropout(input, p, training)


def _torch_bernoulli_(input: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> Tensor:
    return input.bernoulli_(p, generator=generator)


@drop_in(
    _torch_bernoulli_, family="dropout", bench_inputs=flat, aten_overloads=("bernoulli_.float",), differentiable=False
)
def bernoulli_(input: Tensor, p: float = 0.5, *, generator: torch.Generator | None = None) -> Tensor:
    """Fills ``input`` with ones, each with probability ``p``, and zeros: the numbers that torch draws, bit for bit.

    The words of torch's generator, a Mersenne twister, are made and compared in vectors. Where a build of torch draws
    from another generator, torch's own kernel runs.

    Args:
        input: any shape; floating.
        p: the probability, in [0, 1]; a tensor is torch's.
        generator: of the CPU; None: torch's default one.

    Returns:
        ``input``.

    Raises:
        RuntimeError: ``p`` is out of range.

    Example:
        >>> torchext.bernoulli_(torch.empty(3), 1.0)
        tensor([1., 1., 1.])

    Source: :meth:`torch.Tensor.bernoulli_`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(bernoulli_, (input,), input, p=p, generator=generator)
    is_ours = isinstance(input, Tensor) and type(p) in (float, int)
    if is_dynamo_compiling() or not is_ours or not (generator is None or isinstance(generator, torch.Generator)):
        return input.bernoulli_(p, generator=generator)
    result: Tensor = _general.bernoulli_(input, float(p), generator)
    return result
