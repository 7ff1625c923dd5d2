"""sum, mean, var, std, max, min, amax, amin, argmax and argmin.

Accelerated along one dim or several, and over whole tensors. Sums are formed in an order that depends on the sizes
alone: the same bits for any number of threads, and for a row and a column of the same values.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function_unary

from torchext._registry import drop_in, reductions
from torchext.functional._calls import general as _general
from torchext.functional._calls import unary as _unary

__all__ = [
    "sum", "mean", "var", "std", "max", "min", "amax", "amin", "argmax", "argmin",
]  # fmt: skip

_whole_max, _whole_min = _unary("max"), _unary("min")
Dims = int | list[int] | tuple[int, ...]


def _is_torchs(input: object, out: object) -> bool:
    """Whether torch's own function takes the call: ``out=``, what is no tensor, and a compiler, which fuses ATen's."""
    return out is not None or not isinstance(input, Tensor) or is_dynamo_compiling()


def _sequence(dim: Dims) -> list[int] | tuple[int, ...]:
    return (dim,) if isinstance(dim, int) else dim


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that are not None: torch's overloads tell a missing argument from None."""
    return {name: value for name, value in arguments.items() if value is not None}


@drop_in(
    torch.sum, family="reduction", opinfo="sum", bench_inputs=reductions,
    aten_overloads=("sum", "sum.dim_IntList", "sum.out", "sum.IntList_out"),
)  # fmt: skip
def sum(
    input: Tensor, dim: Dims | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The sum of all elements, or along ``dim``. float32: error at most 4 * 2^-24 * sum(abs(input)).

    Args:
        input: any shape; floating tensors are accelerated.
        dim: one dimension or several; all if None or empty.
        keepdim: keep the dimensions that are reduced, with size 1.
        dtype: the dtype of the result; the input is cast to it first.
        out: receives the result.

    Returns:
        A contiguous tensor of ``input``'s dtype (int64 for integers and booleans), or ``dtype``.

    Raises:
        IndexError: a ``dim`` is out of range.
        RuntimeError: a ``dim`` appears twice.

    Example:
        >>> torchext.sum(torch.ones(2, 3), dim=1)
        tensor([3., 3.])

    Source: :func:`torch.sum`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(sum, (input,), input, dim, keepdim, dtype=dtype, out=out)
    if _is_torchs(input, out):
        if dim is None and not keepdim:
            return torch.sum(input, **_given(dtype=dtype, out=out))
        return torch.sum(input, dim, keepdim, **_given(dtype=dtype, out=out))
    if dim is None and not keepdim:
        return _general.sum(input, dtype)
    return _general.sum(input, () if dim is None else _sequence(dim), keepdim, dtype)


@drop_in(
    torch.mean, family="reduction", opinfo="mean", bench_inputs=reductions,
    aten_overloads=("mean", "mean.dim", "mean.out", "mean.dtype_out"),
)  # fmt: skip
def mean(
    input: Tensor, dim: Dims | None = None, keepdim: bool = False, *, dtype: torch.dtype | None = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """:func:`sum` over the number of elements that go into it, rounded once.

    Args, result and errors as for :func:`sum`; integers need ``dtype``.

    Raises:
        RuntimeError: an integer input without ``dtype``.

    Example:
        >>> torchext.mean(torch.tensor([[1.0, 2.0], [3.0, 5.0]]), dim=0)
        tensor([2.0000, 3.5000])

    Source: :func:`torch.mean`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(mean, (input,), input, dim, keepdim, dtype=dtype, out=out)
    if _is_torchs(input, out):
        if dim is None and not keepdim:
            return torch.mean(input, **_given(dtype=dtype, out=out))
        return torch.mean(input, dim, keepdim, **_given(dtype=dtype, out=out))
    if dim is None and not keepdim:
        return _general.mean(input, dtype)
    return _general.mean(input, () if dim is None else _sequence(dim), keepdim, dtype)


def _deviation(
    name: str, input: Tensor, dim: Any, unbiased: bool | None, keepdim: bool, correction: Any, out: Tensor | None
) -> Tensor:
    """var or std, whose arguments torch has in three forms: (unbiased), (dim, unbiased, keepdim), (dim, correction)."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    plain = isinstance(correction, (int, float)) or correction is None
    if _is_torchs(input, out) or not plain or (unbiased is not None and correction is not None):
        given = _given(dim=dim, unbiased=unbiased, correction=correction, out=out)
        return getattr(torch, name)(input, **given, **({"keepdim": True} if keepdim else {}))
    if correction is None:
        correction = 0 if unbiased is False else 1
    return getattr(_general, name)(input, None if dim is None else _sequence(dim), correction, keepdim)


@drop_in(
    torch.var, family="reduction", opinfo="var", bench_inputs=reductions,
    aten_overloads=("var.correction", "var.correction_out"),
)  # fmt: skip
def var(
    input: Tensor, dim: Dims | bool | None = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``sum((input - mean)**2) / (n - correction)`` over all elements or along ``dim``, in two passes.

    Args:
        input: any shape; floating.
        dim: one dimension or several; all if None or empty.
        unbiased: the older form of ``correction``: True for 1, False for 0.
        keepdim: keep the dimensions that are reduced, with size 1.
        correction: taken off the number of elements; 1 if neither it nor ``unbiased`` is given.
        out: receives the result.

    Returns:
        A contiguous tensor of ``input``'s dtype.

    Raises:
        IndexError: a ``dim`` is out of range.
        RuntimeError: an integer input.

    Example:
        >>> torchext.var(torch.tensor([1.0, 2.0, 3.0]))
        tensor(1.)

    Source: :func:`torch.var`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(var, (input,), input, dim, unbiased, keepdim, correction=correction, out=out)
    return _deviation("var", input, dim, unbiased, keepdim, correction, out)


@drop_in(
    torch.std, family="reduction", opinfo="std", bench_inputs=reductions,
    aten_overloads=("std.correction", "std.correction_out"),
)  # fmt: skip
def std(
    input: Tensor, dim: Dims | bool | None = None, unbiased: bool | None = None, keepdim: bool = False, *,
    correction: float | None = None, out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The square root of :func:`var`; arguments, result and errors as there.

    Example:
        >>> torchext.std(torch.tensor([1.0, 3.0]), correction=0)
        tensor(1.)

    Source: :func:`torch.std`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(std, (input,), input, dim, unbiased, keepdim, correction=correction, out=out)
    return _deviation("std", input, dim, unbiased, keepdim, correction, out)


def _extreme(name: str, input: Tensor, dim: Any, keepdim: bool, out: Any, other: Any) -> Any:
    """max or min along a dim with indices, or of two tensors (torch's own, as :func:`torch.maximum`)."""
    if _is_torchs(input, out) or other is not None or not (dim is None or type(dim) is int):
        given = _given(dim=dim, out=out, other=other)
        if isinstance(dim, Tensor):
            given["other"] = given.pop("dim")
        return getattr(torch, name)(input, **given, **({"keepdim": True} if keepdim else {}))
    if dim is None:
        return getattr(torch, name)(input, keepdim=True)  # which torch refuses
    return getattr(torch.return_types, name)(getattr(_general, name)(input, dim, keepdim))


@drop_in(
    torch.max, family="reduction", opinfo="max", bench_inputs=reductions,
    aten_overloads=("max", "max.dim", "max.unary_out"),
)  # fmt: skip
def max(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, out: Any = None,
    other: Tensor | None = None,
) -> Any:  # fmt: skip
    """The largest element, or along ``dim`` the largest ones and their indices; a NaN is the largest of all.

    Args:
        input: any shape; floating tensors are accelerated.
        dim: a dimension; or a tensor, for the larger elements of two (:func:`torch.maximum`).
        keepdim: keep the dimension that is reduced, with size 1.
        out: receives the result; with ``dim`` a pair.
        other: another name for a tensor in the place of ``dim``.

    Returns:
        A 0-dim tensor; with ``dim`` a named tuple ``(values, indices)``. Of equal elements the first is taken; the
        gradient goes to it, and without ``dim`` in equal parts to all of them.

    Raises:
        IndexError: ``dim`` is out of range, or has size 0.
        RuntimeError: an empty tensor without ``dim``.

    Example:
        >>> torchext.max(torch.tensor([[1.0, 4.0], [5.0, 2.0]]), dim=1).indices
        tensor([1, 0])

    Source: :func:`torch.max`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(max, (input,), input, dim, keepdim, out=out, other=other)
    if dim is None and other is None and not keepdim and not _is_torchs(input, out):
        result = _whole_max(input)
        return _general.max(input) if result is NotImplemented else result
    return _extreme("max", input, dim, keepdim, out, other)


@drop_in(
    torch.min, family="reduction", opinfo="min", bench_inputs=reductions,
    aten_overloads=("min", "min.dim", "min.unary_out"),
)  # fmt: skip
def min(
    input: Tensor, dim: int | Tensor | None = None, keepdim: bool = False, *, out: Any = None,
    other: Tensor | None = None,
) -> Any:  # fmt: skip
    """The smallest element, or along ``dim`` the smallest ones and their indices; as :func:`max`.

    Example:
        >>> torchext.min(torch.tensor([3.0, 1.0, 2.0]))
        tensor(1.)

    Source: :func:`torch.min`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(min, (input,), input, dim, keepdim, out=out, other=other)
    if dim is None and other is None and not keepdim and not _is_torchs(input, out):
        result = _whole_min(input)
        return _general.min(input) if result is NotImplemented else result
    return _extreme("min", input, dim, keepdim, out, other)


@drop_in(
    torch.amax, family="reduction", opinfo="amax", bench_inputs=reductions, aten_overloads=("amax", "amax.out")
)  # fmt: skip
def amax(input: Tensor, dim: Dims = (), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The largest element of all, or along one dimension or several; a NaN is the largest of all.

    Args:
        input: any shape; floating tensors are accelerated.
        dim: one dimension or several; all if empty.
        keepdim: keep the dimensions that are reduced, with size 1.
        out: receives the result.

    Returns:
        A contiguous tensor of ``input``'s dtype. Its gradient goes in equal parts to all equal elements.

    Raises:
        IndexError: a ``dim`` is out of range, or has size 0.

    Example:
        >>> torchext.amax(torch.tensor([[1.0, 4.0], [5.0, 2.0]]), dim=1)
        tensor([4., 5.])

    Source: :func:`torch.amax`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(amax, (input,), input, dim, keepdim, out=out)
    if _is_torchs(input, out):
        return torch.amax(input, dim, keepdim, **_given(out=out))
    return _general.amax(input, _sequence(dim), keepdim)


@drop_in(
    torch.amin, family="reduction", opinfo="amin", bench_inputs=reductions, aten_overloads=("amin", "amin.out")
)  # fmt: skip
def amin(input: Tensor, dim: Dims = (), keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The smallest element of all, or along one dimension or several; as :func:`amax`.

    Example:
        >>> torchext.amin(torch.tensor([[1.0, 4.0], [5.0, 2.0]]), dim=(0, 1))
        tensor(1.)

    Source: :func:`torch.amin`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(amin, (input,), input, dim, keepdim, out=out)
    if _is_torchs(input, out):
        return torch.amin(input, dim, keepdim, **_given(out=out))
    return _general.amin(input, _sequence(dim), keepdim)


@drop_in(
    torch.argmax, family="reduction", opinfo="argmax", bench_inputs=reductions,
    aten_overloads=("argmax", "argmax.out"), differentiable=False,
)  # fmt: skip
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The index of the largest element: the first of equal ones, the first NaN if there is one.

    Args:
        input: any shape; floating tensors are accelerated.
        dim: a dimension; if None, the index is that into the flattened tensor.
        keepdim: keep the dimension that is reduced, with size 1.
        out: receives the result.

    Returns:
        A contiguous int64 tensor.

    Raises:
        IndexError: ``dim`` is out of range, or has size 0, or the tensor is empty.

    Example:
        >>> torchext.argmax(torch.tensor([1.0, 3.0, 3.0]))
        tensor(1)

    Source: :func:`torch.argmax`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(argmax, (input,), input, dim, keepdim, out=out)
    if _is_torchs(input, out):
        return torch.argmax(input, dim, keepdim, **_given(out=out))
    return _general.argmax(input, dim, keepdim)


@drop_in(
    torch.argmin, family="reduction", opinfo="argmin", bench_inputs=reductions,
    aten_overloads=("argmin", "argmin.out"), differentiable=False,
)  # fmt: skip
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The index of the smallest element; as :func:`argmax`.

    Example:
        >>> torchext.argmin(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), dim=0)
        tensor([1, 0])

    Source: :func:`torch.argmin`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(argmin, (input,), input, dim, keepdim, out=out)
    if _is_torchs(input, out):
        return torch.argmin(input, dim, keepdim, **_given(out=out))
    return _general.argmin(input, dim, keepdim)
