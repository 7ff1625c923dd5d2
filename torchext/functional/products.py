"""mm, addmm, bmm, baddbmm, linear and linear_act: products of matrices.

float32 and float64 run our kernels for any strides; one element is a sum of multiply-adds in the order of the inner
dimension, in blocks of at most 384 (dot products of one row: 64 sums side by side). So it has the same bits for any
number of threads and on every instruction set. ``alpha`` other than 1, ``beta`` other than 0 and 1, empty dimensions
and other dtypes are handed to ATen.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function
from torch.types import Number

from torchext._registry import (
    added_batched_products,
    added_products,
    batched_products,
    drop_in,
    linears,
    products,
    stacked_products,
)
from torchext.functional._calls import fast as _fast
from torchext.functional._calls import general as _general
from torchext.functional._calls import into as _into
from torchext.functional._calls import route as _route
from torchext.functional._calls import traced as _ops

__all__ = ["matmul", "mm", "addmm", "bmm", "baddbmm", "linear", "linear_act"]


def _is_one(number: Number) -> bool:
    return type(number) is int and number == 1


@drop_in(torch.matmul, family="product", opinfo="matmul", bench_inputs=stacked_products, aten_overloads=("matmul",))
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two tensors of any rank: of vectors, matrices, or batches of matrices that broadcast.

    Args:
        input: (..., n, k) or (k).
        other: (..., k, m) or (k).
        out: receives the result, resized if needed; then PyTorch does the work.

    Returns:
        A contiguous (..., n, m) tensor, without n or m where that operand is a vector; ``out`` if given.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    Example:
        >>> torchext.matmul(torch.ones(2, 1, 3), torch.ones(3))
        tensor([[3.],
                [3.]])

    Source: :func:`torch.matmul`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.matmul(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(matmul, (input, other, out), input, other, out=out)
    if out is not None:
        return torch.matmul(input, other, out=out)
    return _route().matmul(input, other)


@drop_in(torch.mm, family="product", opinfo="mm", bench_inputs=products, aten_overloads=("mm", "mm.out"))
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of two matrices.

    Args:
        input: (n, k).
        mat2: (k, m).
        out: receives the result, resized if needed.

    Returns:
        A contiguous (n, m) tensor; ``out`` if given.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    Example:
        >>> torchext.mm(torch.ones(1, 2), torch.ones(2, 1))
        tensor([[2.]])

    Source: :func:`torch.mm`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.mm(input, mat2)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, mat2, out)):
        return handle_torch_function(mm, (input, mat2, out), input, mat2, out=out)
    if out is not None or is_dynamo_compiling():
        return _ops.mm(input, mat2) if out is None else _into(out, "mm", input, mat2)
    return _general.mm(input, mat2)


@drop_in(
    torch.bmm, family="product", opinfo="bmm", bench_inputs=batched_products, aten_overloads=("bmm", "bmm.out"),
)  # fmt: skip
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The products of two batches of matrices.

    Args:
        input: (b, n, k).
        mat2: (b, k, m).
        out: receives the result, resized if needed.

    Returns:
        A contiguous (b, n, m) tensor; ``out`` if given.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    Example:
        >>> torchext.bmm(torch.ones(2, 1, 3), torch.ones(2, 3, 1)).flatten()
        tensor([3., 3.])

    Source: :func:`torch.bmm`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.bmm(input, mat2)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, mat2, out)):
        return handle_torch_function(bmm, (input, mat2, out), input, mat2, out=out)
    if out is not None or is_dynamo_compiling():
        return _ops.bmm(input, mat2) if out is None else _into(out, "bmm", input, mat2)
    return _general.bmm(input, mat2)


@drop_in(
    torch.addmm, family="product", opinfo="addmm", bench_inputs=added_products,
    aten_overloads=("addmm", "addmm_", "addmm.out"),
)  # fmt: skip
def addmm(
    input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1, out: Tensor | None = None
) -> Tensor:
    """``beta * input + alpha * (mat1 @ mat2)``.

    Args:
        input: broadcastable to (n, m); not looked at if ``beta`` is 0.
        mat1: (n, k).
        mat2: (k, m).
        beta: multiplies ``input``.
        alpha: multiplies the product.
        out: receives the result, resized if needed.

    Returns:
        An (n, m) tensor; ``out`` if given.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    Example:
        >>> torchext.addmm(torch.ones(1), torch.ones(1, 2), torch.ones(2, 1))
        tensor([[3.]])

    Source: :func:`torch.addmm`.
    """
    if out is None and _is_one(beta) and _is_one(alpha) and not is_dynamo_compiling():
        result = _fast.addmm(input, mat1, mat2)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, mat1, mat2, out)):
        return handle_torch_function(
            addmm, (input, mat1, mat2, out), input, mat1, mat2, beta=beta, alpha=alpha, out=out
        )
    if isinstance(beta, Tensor) or isinstance(alpha, Tensor):  # as numbers: torch's business
        return torch.addmm(input, mat1, mat2, beta=beta, alpha=alpha, out=out)
    if out is not None:
        return _into(out, "addmm", input, mat1, mat2, beta=beta, alpha=alpha)
    return _route(beta, alpha).addmm(input, mat1, mat2, beta=beta, alpha=alpha)


@drop_in(
    torch.baddbmm, family="product", opinfo="baddbmm", bench_inputs=added_batched_products,
    aten_overloads=("baddbmm", "baddbmm_", "baddbmm.out"),
)  # fmt: skip
def baddbmm(
    input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1, out: Tensor | None = None
) -> Tensor:
    """``beta * input + alpha * (batch1 @ batch2)``, batch by batch; arguments and errors as for :func:`addmm`.

    Example:
        >>> torchext.baddbmm(torch.ones(1), torch.ones(1, 1, 2), torch.ones(1, 2, 1))
        tensor([[[3.]]])

    Source: :func:`torch.baddbmm`.
    """
    if out is None and _is_one(beta) and _is_one(alpha) and not is_dynamo_compiling():
        result = _fast.baddbmm(input, batch1, batch2)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, batch1, batch2, out)):
        return handle_torch_function(
            baddbmm, (input, batch1, batch2, out), input, batch1, batch2, beta=beta, alpha=alpha, out=out
        )
    if isinstance(beta, Tensor) or isinstance(alpha, Tensor):  # as numbers: torch's business
        return torch.baddbmm(input, batch1, batch2, beta=beta, alpha=alpha, out=out)
    if out is not None:
        return _into(out, "baddbmm", input, batch1, batch2, beta=beta, alpha=alpha)
    return _route(beta, alpha).baddbmm(input, batch1, batch2, beta=beta, alpha=alpha)


@drop_in(F.linear, family="product", opinfo="nn.functional.linear", bench_inputs=linears, aten_overloads=("linear",))
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features).

    Returns:
        A contiguous (..., out_features) tensor.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.

    Example:
        >>> torchext.linear(torch.ones(2), torch.ones(1, 2), torch.ones(1))
        tensor([3.])

    Source: :func:`torch.nn.functional.linear`.
    """
    if has_torch_function((input, weight, bias)):
        return handle_torch_function(linear, (input, weight, bias), input, weight, bias)
    return _route().linear(input, weight, bias)


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu, "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"), "relu": F.relu, "silu": F.silu,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid,
}  # fmt: skip


def check_activation(activation: str) -> None:
    """Raises ValueError for what :func:`linear_act` does not know."""
    if activation not in _ACTIVATIONS:
        raise ValueError(
            f"linear_act(): expected activation to be one of {', '.join(_ACTIVATIONS)}, got {activation!r}"
        )


def _linear_act(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "gelu") -> Tensor:
    """What :func:`linear_act` replaces: two calls."""
    return _ACTIVATIONS[activation](F.linear(input, weight, bias))


@drop_in(
    _linear_act, family="product", opinfo="nn.functional.linear", bench_inputs=linears, aten_overloads=("linear_act",)
)
def linear_act(input: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "gelu") -> Tensor:
    """:func:`linear` followed by an activation, in one pass where no gradient is needed.

    Args:
        input: (..., in_features).
        weight: (out_features, in_features).
        bias: (out_features).
        activation: "gelu", "gelu_tanh", "relu", "silu", "tanh" or "sigmoid".

    Returns:
        A contiguous (..., out_features) tensor.

    Raises:
        RuntimeError: sizes or dtypes that do not fit.
        ValueError: another activation.

    Example:
        >>> torchext.linear_act(torch.ones(2), -torch.ones(1, 2), activation="relu")
        tensor([0.])

    Source: :func:`torch.nn.functional.linear` and the activation.
    """
    if has_torch_function((input, weight, bias)):
        return handle_torch_function(linear_act, (input, weight, bias), input, weight, bias, activation)
    return _route().linear_act(input, weight, bias, activation)
