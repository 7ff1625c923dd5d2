"""add, sub, mul, div and fused_multiply_add."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function
from torch.types import Number

from torchext._registry import drop_in, operands, triple
from torchext.functional._calls import SYMBOLIC as _SYMBOLIC
from torchext.functional._calls import fast as _fast
from torchext.functional._calls import into as _into
from torchext.functional._calls import route as _route

__all__ = [
    "add", "sub", "mul", "div", "fused_multiply_add",
]  # fmt: skip


def _is_numpy_scalar(value: object) -> bool:
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ != "ndarray"


def _as_tensor(number: Number, beside: Tensor) -> Tensor:
    """A tensor that promotes as ``number`` does beside ``beside``, and keeps its digits where that does not."""
    if isinstance(number, _SYMBOLIC):
        return torch.scalar_tensor(number, dtype=beside.dtype)  # its value must not be looked at
    if isinstance(number, bool):
        return torch.scalar_tensor(number, dtype=torch.bool)  # promotes nothing, and sub refuses it as torch does
    if isinstance(number, complex):
        dtype = beside.dtype if beside.is_complex() else torch.result_type(beside, number)
    elif isinstance(number, float):
        # Beside floating tensors with dimensions a 0-dim tensor of float64 keeps the digits and does not promote.
        dtype = torch.float64 if beside.is_floating_point() and beside.dim() else beside.dtype
        if not (beside.is_floating_point() or beside.is_complex()):
            dtype = torch.get_default_dtype()
    else:
        dtype = torch.int64 if beside.dtype == torch.bool else beside.dtype
    if dtype.is_complex or dtype == torch.bool:
        return torch.scalar_tensor(number, dtype=dtype)
    # By way of the widest dtype: a number that does not fit wraps or becomes infinite, as in torch.
    wide = torch.scalar_tensor(number, dtype=torch.float64 if dtype.is_floating_point else torch.int64)
    return wide if beside.dim() and not dtype.is_floating_point else wide.to(dtype)


def _tensors(name: str, input: Tensor | Number, other: Tensor | Number) -> tuple[Tensor, Tensor]:
    """Both operands as tensors: torch takes a number in either place, the operators' schemas only as ``other``, and not
    together with ``out``."""
    for operand in (input, other):
        if not isinstance(operand, (Tensor, int, float, complex, *_SYMBOLIC)) and not _is_numpy_scalar(operand):
            raise TypeError(f"{name}(): expected tensors or numbers, got {type(operand).__name__}")
    if not isinstance(input, Tensor):
        input = _as_tensor(input, other) if isinstance(other, Tensor) else torch.tensor(input)
    return input, other if isinstance(other, Tensor) else _as_tensor(other, input)


@drop_in(
    torch.add, family="arithmetic", opinfo="add", bench_inputs=operands,
    aten_overloads=("add.Tensor", "add.Scalar", "add_.Tensor", "add_.Scalar", "add.out"),
)  # fmt: skip
def add(input: Tensor, other: Tensor | Number, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """``input + alpha * other``, rounded once per element; integers wrap.

    Args:
        input: any shape.
        other: broadcastable with ``input``, or a number.
        alpha: multiplies ``other``; must be an integer for integer operands.
        out: receives the result, resized if needed.

    Returns:
        A tensor of the broadcast shape and the promoted dtype; ``out`` if given.

    Raises:
        RuntimeError: shapes do not broadcast, ``out`` overlaps itself or an input, or cannot hold the dtype.

    Example:
        >>> torchext.add(torch.tensor([1.0, 2.0]), 1.0, alpha=2)
        tensor([3., 4.])

    Source: :func:`torch.add`.
    """
    if out is None and type(alpha) is int and alpha == 1 and not is_dynamo_compiling():
        result = _fast.add(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(add, (input, other, out), input, other, alpha=alpha, out=out)
    if isinstance(alpha, Tensor):  # as a number: torch's business
        return torch.add(input, other, alpha=alpha, out=out)
    if out is not None or not isinstance(input, Tensor):
        input, other = _tensors("add", input, other)
    call = _route(other, alpha)
    if out is not None:
        return _into(out, "add", input, other, alpha=alpha)
    return call.add(input, other) if type(alpha) is int and alpha == 1 else call.add(input, other, alpha=alpha)


@drop_in(
    torch.sub, family="arithmetic", opinfo="sub", bench_inputs=operands,
    aten_overloads=("sub.Tensor", "sub.Scalar", "sub_.Tensor", "sub_.Scalar", "sub.out"),
)  # fmt: skip
def sub(input: Tensor, other: Tensor | Number, *, alpha: Number = 1, out: Tensor | None = None) -> Tensor:
    """``input - alpha * other``; arguments, result and errors as for :func:`add`.

    Raises:
        RuntimeError: as for :func:`add`, and for boolean operands.

    Example:
        >>> torchext.sub(torch.tensor([1, 2]), torch.tensor([3, 3]))
        tensor([-2, -1])

    Source: :func:`torch.sub`.
    """
    if out is None and type(alpha) is int and alpha == 1 and not is_dynamo_compiling():
        result = _fast.sub(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(sub, (input, other, out), input, other, alpha=alpha, out=out)
    if isinstance(alpha, Tensor):  # as a number: torch's business
        return torch.sub(input, other, alpha=alpha, out=out)
    if out is not None or not isinstance(input, Tensor):
        input, other = _tensors("sub", input, other)
    call = _route(other, alpha)
    if out is not None:
        return _into(out, "sub", input, other, alpha=alpha)
    return call.sub(input, other) if type(alpha) is int and alpha == 1 else call.sub(input, other, alpha=alpha)


@drop_in(
    torch.mul, family="arithmetic", opinfo="mul", bench_inputs=operands,
    aten_overloads=("mul.Tensor", "mul.Scalar", "mul_.Tensor", "mul_.Scalar", "mul.out"),
)  # fmt: skip
def mul(input: Tensor, other: Tensor | Number, *, out: Tensor | None = None) -> Tensor:
    """``input * other``; integers wrap. Arguments, result and errors as for :func:`add`, without ``alpha``.

    Example:
        >>> torchext.mul(torch.tensor([1.0, 2.0]), torch.tensor(3.0))
        tensor([3., 6.])

    Source: :func:`torch.mul`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.mul(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(mul, (input, other, out), input, other, out=out)
    if out is not None or not isinstance(input, Tensor):
        input, other = _tensors("mul", input, other)
    if out is not None:
        return _into(out, "mul", input, other)
    return _route(other).mul(input, other)


@drop_in(
    torch.div, family="arithmetic", opinfo="div", bench_inputs=operands,
    aten_overloads=(
        "div.Tensor", "div.Scalar", "div_.Tensor", "div_.Scalar", "div.out", "div.Tensor_mode", "div.Scalar_mode",
        "div_.Tensor_mode", "div_.Scalar_mode", "div.out_mode",
    ),
)  # fmt: skip
def div(
    input: Tensor, other: Tensor | Number, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Tensor:
    """``input / other``, by default the true quotient (float for integers).

    Args:
        input: any shape.
        other: broadcastable with ``input``, or a number.
        rounding_mode: None, ``"trunc"`` (towards zero, as C) or ``"floor"`` (as Python's ``//``). With one of the two,
            integers stay integers, and the most negative one divided by -1 wraps to itself.
        out: receives the result, resized if needed.

    Returns:
        A tensor of the broadcast shape and the promoted dtype; ``out`` if given.

    Raises:
        RuntimeError: an integer is divided by zero with a rounding mode ("ZeroDivisionError"; nothing is written), the
            mode is unknown, or as for :func:`add`.

    Example:
        >>> torchext.div(torch.tensor([-7, 7]), 2, rounding_mode="floor")
        tensor([-4,  3])

    Source: :func:`torch.div`.
    """
    if out is None and rounding_mode is None and not is_dynamo_compiling():
        result = _fast.div(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(div, (input, other, out), input, other, rounding_mode=rounding_mode, out=out)
    if out is not None or not isinstance(input, Tensor):
        input, other = _tensors("div", input, other)
    call = _route(other)
    if out is not None:
        return _into(out, "div", input, other, rounding_mode=rounding_mode)
    if rounding_mode is not None:
        return call.div(input, other, rounding_mode=rounding_mode)
    return call.div(input, other)


def _multiply_then_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.addcmul(c, a, b)


@drop_in(_multiply_then_add, family="arithmetic", bench_inputs=triple, aten_overloads=("fused_multiply_add",))
def fused_multiply_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """``a * b + c``, rounded once; integers wrap.

    Args:
        a, b, c: shapes that broadcast together; dtypes are promoted.

    Returns:
        A tensor of the broadcast shape and the promoted dtype. Inside ``torch.func`` transforms it is
        ``torch.addcmul(c, a, b)``, which may round twice.

    Raises:
        RuntimeError: the shapes do not broadcast.

    Example:
        >>> torchext.fused_multiply_add(torch.tensor([2.0]), torch.tensor([3.0]), torch.tensor([4.0]))
        tensor([10.])

    Source: IEEE 754-2019, fusedMultiplyAdd.
    """
    if has_torch_function((a, b, c)):
        return handle_torch_function(fused_multiply_add, (a, b, c), a, b, c)
    return _route().fused_multiply_add(a, b, c)
