"""Drop-in functions: torch's names, signatures, broadcasting, type promotion, autograd and error classes.

Shapes and dtypes hold for all of them: float32, float64, bfloat16, float16 (and int32, int64 where torch has them) on the CPU
run our kernels, in any layout; reduced precisions compute in float32 and round once. Any other input is handed to ATen, so
the result, or the exception, is torch's. Derivatives of any order and mode work as in torch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary
from torch.types import Number

from torchext import _C
from torchext._registry import drop_in, gelus, matrices, operands, triple

__all__ = [
    "add", "sub", "mul", "div", "fused_multiply_add",
    "relu", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh", "softplus", "softsign", "silu", "swish", "mish",
    "softmax", "log_softmax",
]  # fmt: skip

# Three ways to the same operators: _ops is what a compiler traces, _C costs 2 us less, _fast another 0.5 us; the last
# answers NotImplemented to anything but plain tensors and numbers.
_ops = torch.ops.rusttorch
_fast = _C.fast


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
    if out is None and alpha == 1 and not is_dynamo_compiling():
        result = _fast.add(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(add, (input, other, out), input, other, alpha=alpha, out=out)
    call = _ops if is_dynamo_compiling() else _C
    if out is not None:
        return _ops.add(input, other, alpha=alpha, out=out)
    return call.add(input, other) if alpha == 1 else call.add(input, other, alpha=alpha)


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
    if out is None and alpha == 1 and not is_dynamo_compiling():
        result = _fast.sub(input, other)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, other, out)):
        return handle_torch_function(sub, (input, other, out), input, other, alpha=alpha, out=out)
    call = _ops if is_dynamo_compiling() else _C
    if out is not None:
        return _ops.sub(input, other, alpha=alpha, out=out)
    return call.sub(input, other) if alpha == 1 else call.sub(input, other, alpha=alpha)


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
    if out is not None:
        return _ops.mul(input, other, out=out)
    return (_ops if is_dynamo_compiling() else _C).mul(input, other)


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
        RuntimeError: an integer is divided by zero with a rounding mode ("ZeroDivisionError"; nothing is written), the mode
            is unknown, or as for :func:`add`.

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
    call = _ops if is_dynamo_compiling() else _C
    if out is not None:
        return _ops.div(input, other, rounding_mode=rounding_mode, out=out)
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
    return (_ops if is_dynamo_compiling() else _C).fused_multiply_add(a, b, c)


@drop_in(F.relu, aten_overloads=("relu", "relu_", "relu.out"), family="activation", opinfo="nn.functional.relu")
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(input, 0)``; NaN and -0.0 stay what they are.

    Args:
        input: any shape; floating or integer.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: a boolean or complex input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])

    Source: :func:`torch.nn.functional.relu`.
    """
    if not inplace and not is_dynamo_compiling():
        result = _fast.relu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(relu, (input,), input, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.relu_(input) if inplace else call.relu(input)


@drop_in(
    F.leaky_relu, family="activation", opinfo="nn.functional.leaky_relu",
    aten_overloads=("leaky_relu", "leaky_relu_", "leaky_relu.out"),
)  # fmt: skip
def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """``input`` where positive, ``negative_slope * input`` elsewhere.

    Args:
        input: any shape; floating.
        negative_slope: factor for negative elements.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.leaky_relu(torch.tensor([-1.0, 2.0]), 0.5)
        tensor([-0.5000,  2.0000])

    Source: Maas, Hannun and Ng 2013; :func:`torch.nn.functional.leaky_relu`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(leaky_relu, (input,), input, negative_slope=negative_slope, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.leaky_relu_(input, negative_slope) if inplace else call.leaky_relu(input, negative_slope)


@drop_in(F.elu, aten_overloads=("elu", "elu_", "elu.out"), family="activation", opinfo="nn.functional.elu")
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """``input`` where positive, ``alpha * (exp(input) - 1)`` elsewhere. Error at most 2 units in float32.

    Args:
        input: any shape; floating.
        alpha: minus the limit for very negative elements.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.elu(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])

    Source: Clevert, Unterthiner and Hochreiter 2015; :func:`torch.nn.functional.elu`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(elu, (input,), input, alpha=alpha, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.elu_(input, alpha) if inplace else call.elu(input, alpha)


@drop_in(F.selu, aten_overloads=("selu", "selu_"), family="activation", opinfo="nn.functional.selu")
def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """``scale * elu(input, alpha)`` with scale 1.0507 and alpha 1.6733. Error at most 2 units in float32.

    Args:
        input: any shape; floating.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.selu(torch.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])

    Source: Klambauer et al. 2017; :func:`torch.nn.functional.selu`.
    """
    if not inplace and not is_dynamo_compiling():
        result = _fast.selu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(selu, (input,), input, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.selu_(input) if inplace else call.selu(input)


@drop_in(
    F.gelu,
    aten_overloads=("gelu", "gelu_", "gelu.out"),
    family="activation",
    opinfo="nn.functional.gelu",
    bench_inputs=gelus,
)
def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """``input * Phi(input)``, Phi being the normal distribution function. Error at most 4 units, far tail included.

    Args:
        input: any shape; floating.
        approximate: ``"none"`` for the exact form, ``"tanh"`` for
            ``0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or another ``approximate``.

    Example:
        >>> torchext.gelu(torch.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])

    Source: Hendrycks and Gimpel 2016; :func:`torch.nn.functional.gelu`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(gelu, (input,), input, approximate=approximate)
    if is_dynamo_compiling():
        return _ops.gelu(input, approximate=approximate)
    return _C.gelu(input, approximate)


@drop_in(torch.sigmoid, aten_overloads=("sigmoid", "sigmoid_", "sigmoid.out"), family="activation", opinfo="sigmoid")
def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """``1 / (1 + exp(-input))``. Error at most 2 units in float32.

    Args:
        input: any shape; integers give the default float dtype.
        out: receives the result, resized if needed.

    Returns:
        A tensor like ``input``; ``out`` if given.

    Raises:
        RuntimeError: ``out`` cannot hold the result.

    Example:
        >>> torchext.sigmoid(torch.tensor([0.0, 2.0]))
        tensor([0.5000, 0.8808])

    Source: :func:`torch.sigmoid`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.sigmoid(input)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, out)):
        return handle_torch_function(sigmoid, (input, out), input, out=out)
    if out is not None:
        return _ops.sigmoid(input, out=out)
    return (_ops if is_dynamo_compiling() else _C).sigmoid(input)


@drop_in(torch.tanh, aten_overloads=("tanh", "tanh_", "tanh.out"), family="activation", opinfo="tanh")
def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The hyperbolic tangent. Error at most 1 unit in float32.

    Args:
        input: any shape; integers give the default float dtype.
        out: receives the result, resized if needed.

    Returns:
        A tensor like ``input``; ``out`` if given.

    Raises:
        RuntimeError: ``out`` cannot hold the result.

    Example:
        >>> torchext.tanh(torch.tensor([0.0, 1.0]))
        tensor([0.0000, 0.7616])

    Source: :func:`torch.tanh`.
    """
    if out is None and not is_dynamo_compiling():
        result = _fast.tanh(input)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, out)):
        return handle_torch_function(tanh, (input, out), input, out=out)
    if out is not None:
        return _ops.tanh(input, out=out)
    return (_ops if is_dynamo_compiling() else _C).tanh(input)


@drop_in(F.softplus, aten_overloads=("softplus", "softplus.out"), family="activation", opinfo="nn.functional.softplus")
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, and ``input`` where ``beta * input > threshold``. At most 2 units of error.

    Args:
        input: any shape; floating.
        beta: steepness.
        threshold: above it the function is the identity.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input.

    Example:
        >>> torchext.softplus(torch.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])

    Source: :func:`torch.nn.functional.softplus`.
    """
    if has_torch_function_unary(input):
        return handle_torch_function(softplus, (input,), input, beta=beta, threshold=threshold)
    return (_ops if is_dynamo_compiling() else _C).softplus(input, beta, threshold)


@drop_in(F.softsign, aten_overloads=("softsign",), family="activation", opinfo="nn.functional.softsign")
def softsign(input: Tensor) -> Tensor:
    """``input / (1 + |input|)``. Error at most 2 units in float32.

    Args:
        input: any shape; integers give the default float dtype.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: a boolean input.

    Example:
        >>> torchext.softsign(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])

    Source: :func:`torch.nn.functional.softsign`.
    """
    if not is_dynamo_compiling():
        result = _fast.softsign(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(softsign, (input,), input)
    return (_ops if is_dynamo_compiling() else _C).softsign(input)


@drop_in(F.silu, aten_overloads=("silu", "silu_", "silu.out"), family="activation", opinfo="nn.functional.silu")
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, also called swish. Error at most 4 units in float32.

    Args:
        input: any shape; floating.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.silu(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])

    Source: Elfwing, Uchibe and Doya 2017; :func:`torch.nn.functional.silu`.
    """
    if not inplace and not is_dynamo_compiling():
        result = _fast.silu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(silu, (input,), input, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.silu_(input) if inplace else call.silu(input)


swish = silu


@drop_in(F.mish, aten_overloads=("mish", "mish_", "mish.out"), family="activation", opinfo="nn.functional.mish")
def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * tanh(softplus(input))``. Error at most 4 units in float32.

    Args:
        input: any shape; floating.
        inplace: write the result into ``input``.

    Returns:
        A tensor like ``input``.

    Raises:
        RuntimeError: an integer input, or in place on a leaf that requires grad.

    Example:
        >>> torchext.mish(torch.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])

    Source: Misra 2019; :func:`torch.nn.functional.mish`.
    """
    if not inplace and not is_dynamo_compiling():
        result = _fast.mish(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(mish, (input,), input, inplace=inplace)
    call = _ops if is_dynamo_compiling() else _C
    return call.mish_(input) if inplace else call.mish(input)


def _softmax_dim(name: str, dim: int | None, dimensions: int, stacklevel: int) -> int:
    """torch's default for a missing ``dim``, which warns."""
    return F._get_softmax_dim(name, dimensions, stacklevel) if dim is None else dim


@drop_in(
    F.softmax, family="softmax", opinfo="softmax", bench_inputs=matrices,
    aten_overloads=("softmax.int", "softmax.int_out", "_softmax_backward_data"),
)  # fmt: skip
def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: torch.dtype | None = None) -> Tensor:
    """``exp(input) / sum(exp(input), dim)``. Error at most 20 units in float32; no copy, whatever the ``dim``.

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
    return (_ops if is_dynamo_compiling() else _C).softmax(input, dim, dtype)


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
    return (_ops if is_dynamo_compiling() else _C).log_softmax(input, dim, dtype)
