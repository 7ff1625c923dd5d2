"""The elementwise activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.overrides import handle_torch_function, has_torch_function, has_torch_function_unary

from torchext._registry import drop_in, gelus
from torchext.functional._calls import general as _general
from torchext.functional._calls import into as _into
from torchext.functional._calls import route as _route
from torchext.functional._calls import traced as _ops
from torchext.functional._calls import unary, unary_

__all__ = [
    "relu", "leaky_relu", "elu", "selu", "gelu", "sigmoid", "tanh", "softplus", "softsign", "silu", "swish", "mish",
]  # fmt: skip

_relu = unary("relu")
_selu = unary("selu")
_sigmoid = unary("sigmoid")
_tanh = unary("tanh")
_softsign = unary("softsign")
_silu = unary("silu")
_mish = unary("mish")
# With the default arguments of the functions below.
_leaky_relu = unary("leaky_relu", 0.01)
_elu = unary("elu", 1.0, 1.0, 1.0)
_gelu = unary("gelu", "none")
_gelu_tanh = unary("gelu", "tanh")
_softplus = unary("softplus", 1.0, 20.0)
_relu_ = unary_("relu_")
_selu_ = unary_("selu_")
_silu_ = unary_("silu_")
_mish_ = unary_("mish_")


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
    if not is_dynamo_compiling():
        result = _relu_(input) if inplace else _relu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(relu, (input,), input, inplace=inplace)
    return _ops.relu_(input) if inplace else _ops.relu(input)


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
    if type(negative_slope) is float and negative_slope == 0.01 and not inplace and not is_dynamo_compiling():
        result = _leaky_relu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(leaky_relu, (input,), input, negative_slope=negative_slope, inplace=inplace)
    if isinstance(negative_slope, Tensor):  # as a number: torch's business, here and below
        return F.leaky_relu(input, negative_slope, inplace)
    call = _route(negative_slope)
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
    if type(alpha) is float and alpha == 1.0 and not inplace and not is_dynamo_compiling():
        result = _elu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(elu, (input,), input, alpha=alpha, inplace=inplace)
    if isinstance(alpha, Tensor):
        return F.elu(input, alpha, inplace)
    call = _route(alpha)
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
    if not is_dynamo_compiling():
        result = _selu_(input) if inplace else _selu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(selu, (input,), input, inplace=inplace)
    return _ops.selu_(input) if inplace else _ops.selu(input)


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
    if approximate in ("none", "tanh") and not is_dynamo_compiling():
        result = _gelu(input) if approximate == "none" else _gelu_tanh(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(gelu, (input,), input, approximate=approximate)
    if is_dynamo_compiling():
        return _ops.gelu(input, approximate=approximate)
    return _general.gelu(input, approximate)


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
        result = _sigmoid(input)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, out)):
        return handle_torch_function(sigmoid, (input, out), input, out=out)
    if out is not None:
        return _into(out, "sigmoid", input)
    return _ops.sigmoid(input)


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
        result = _tanh(input)
        if result is not NotImplemented:
            return result
    if has_torch_function((input, out)):
        return handle_torch_function(tanh, (input, out), input, out=out)
    if out is not None:
        return _into(out, "tanh", input)
    return _ops.tanh(input)


@drop_in(F.softplus, aten_overloads=("softplus", "softplus.out"), family="activation", opinfo="nn.functional.softplus")
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, and ``input`` where ``beta * input > threshold``. Error at most 2 units.

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
    if type(beta) is type(threshold) is float and beta == 1.0 and threshold == 20.0 and not is_dynamo_compiling():
        result = _softplus(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(softplus, (input,), input, beta=beta, threshold=threshold)
    if isinstance(beta, Tensor) or isinstance(threshold, Tensor):
        return F.softplus(input, beta, threshold)
    return _route(beta, threshold).softplus(input, beta, threshold)


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
        result = _softsign(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(softsign, (input,), input)
    return _ops.softsign(input)


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
    if not is_dynamo_compiling():
        result = _silu_(input) if inplace else _silu(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(silu, (input,), input, inplace=inplace)
    return _ops.silu_(input) if inplace else _ops.silu(input)


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
    if not is_dynamo_compiling():
        result = _mish_(input) if inplace else _mish(input)
        if result is not NotImplemented:
            return result
    if has_torch_function_unary(input):
        return handle_torch_function(mish, (input,), input, inplace=inplace)
    return _ops.mish_(input) if inplace else _ops.mish(input)
