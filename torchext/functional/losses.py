"""The elementwise losses.

What holds for all of them: input and target of one shape, dtype and dense layout run our kernels, one pass forward and
one backward. So they do with weights, if input and target are contiguous and the weights have their dtype; weights that
broadcast are never written out whole. A reduction adds blocks of 128 elements up in float64, in an order that does not
depend on the number of threads.
"""

from __future__ import annotations

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.nn import _reduction
from torch.overrides import handle_torch_function, has_torch_function_variadic

from torchext._registry import drop_in, logits, pairs, probabilities
from torchext.functional._calls import fast as _fast
from torchext.functional._calls import general as _general
from torchext.functional._calls import traced as _ops

__all__ = [
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits",
]  # fmt: skip


def _warn_of_broadcasting(input: Tensor, target: Tensor) -> None:
    """torch's warning, at the line that called the loss."""
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). "
            "This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _reduction_name(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    if size_average is not None or reduce is not None:
        return _reduction.legacy_get_string(size_average, reduce)
    return reduction


def _weighted_reduction(input: Tensor, weight: Tensor, reduction: str) -> int:
    """torch's checks where there are weights, and the number of the reduction."""
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")
    return _reduction.get_enum(reduction)


@drop_in(
    F.mse_loss, aten_overloads=("mse_loss", "mse_loss.out", "_weighted_mse_loss"), family="loss",
    opinfo="nn.functional.mse_loss", bench_inputs=pairs,
)  # fmt: skip
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``(input - target) ** 2``. Error of an element at most 3 units in float32.

    Args:
        input: any shape; floating.
        target: the same shape and dtype; others broadcast, with a warning, and promote.
        size_average, reduce: deprecated, see ``reduction``.
        reduction: ``"none"``, ``"mean"`` (over all elements) or ``"sum"``.
        weight: factors of the elements, of ``input``'s shape; mean divides by their sum.

    Returns:
        A tensor of ``input``'s dtype: like ``input`` for ``"none"``, else 0-dimensional. The mean of nothing is NaN.

    Raises:
        RuntimeError: shapes that do not broadcast, or an integer input.
        ValueError: another ``reduction``, or a ``weight`` of another shape.

    Example:
        >>> torchext.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)

    Source: :func:`torch.nn.functional.mse_loss`.
    """
    if size_average is None and reduce is None and weight is None and not is_dynamo_compiling():
        result = _fast.mse_loss(input, target, reduction)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target, weight):
        return handle_torch_function(
            mse_loss, (input, target, weight), input, target, size_average=size_average, reduce=reduce,
            reduction=reduction, weight=weight,
        )  # fmt: skip
    _warn_of_broadcasting(input, target)
    reduction = _reduction_name(size_average, reduce, reduction)
    input_, target_ = torch.broadcast_tensors(input, target)
    call = _ops if is_dynamo_compiling() else _general
    if weight is not None:
        return call._weighted_mse_loss(input_, target_, weight, _weighted_reduction(input, weight, reduction))
    return call.mse_loss(input_, target_, _reduction.get_enum(reduction))


@drop_in(
    F.l1_loss, aten_overloads=("l1_loss", "_weighted_l1_loss"), family="loss", opinfo="nn.functional.l1_loss",
    bench_inputs=pairs,
)  # fmt: skip
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """``abs(input - target)``, rounded once in every element.

    Args, result and errors as for :func:`mse_loss`.

    Example:
        >>> torchext.l1_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(1.)

    Source: :func:`torch.nn.functional.l1_loss`.
    """
    if size_average is None and reduce is None and weight is None and not is_dynamo_compiling():
        result = _fast.l1_loss(input, target, reduction)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target, weight):
        return handle_torch_function(
            l1_loss, (input, target, weight), input, target, size_average=size_average, reduce=reduce,
            reduction=reduction, weight=weight,
        )  # fmt: skip
    _warn_of_broadcasting(input, target)
    reduction = _reduction_name(size_average, reduce, reduction)
    input_, target_ = torch.broadcast_tensors(input, target)
    call = _ops if is_dynamo_compiling() else _general
    if weight is not None:
        return call._weighted_l1_loss(input_, target_, weight, _weighted_reduction(input, weight, reduction))
    return call.l1_loss(input_, target_, _reduction.get_enum(reduction))


@drop_in(
    F.smooth_l1_loss, aten_overloads=("smooth_l1_loss", "smooth_l1_loss.out"), family="loss",
    opinfo="nn.functional.smooth_l1_loss", bench_inputs=pairs, counters=("smooth_l1_loss", "l1_loss"),
)  # fmt: skip
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """``0.5 * d**2 / beta`` where ``d = abs(input - target)`` is below ``beta``, ``d - 0.5 * beta`` elsewhere.

    Error of an element at most 5 units in float32.

    Args:
        input, target, size_average, reduce, reduction: as for :func:`mse_loss`.
        beta: where the square ends; 0 gives :func:`l1_loss`.

    Returns:
        As :func:`mse_loss`.

    Raises:
        RuntimeError: a negative ``beta``, shapes that do not broadcast, or an integer input.
        ValueError: another ``reduction``.

    Example:
        >>> torchext.smooth_l1_loss(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0]), reduction="none")
        tensor([0.5000, 1.5000])

    Source: Girshick 2015; :func:`torch.nn.functional.smooth_l1_loss`.
    """
    if size_average is None and reduce is None and beta != 0.0 and not is_dynamo_compiling():
        result = _fast.smooth_l1_loss(input, target, reduction, beta)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target):
        return handle_torch_function(
            smooth_l1_loss, (input, target), input, target, size_average=size_average, reduce=reduce,
            reduction=reduction, beta=beta,
        )  # fmt: skip
    _warn_of_broadcasting(input, target)
    reduction = _reduction_name(size_average, reduce, reduction)
    input_, target_ = torch.broadcast_tensors(input, target)
    call = _ops if is_dynamo_compiling() else _general
    if beta == 0.0:
        return call.l1_loss(input_, target_, _reduction.get_enum(reduction))
    return call.smooth_l1_loss(input_, target_, _reduction.get_enum(reduction), beta)


@drop_in(
    F.huber_loss, aten_overloads=("huber_loss", "huber_loss.out", "_weighted_huber_loss"), family="loss",
    opinfo="nn.functional.huber_loss", bench_inputs=pairs,
)  # fmt: skip
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """``0.5 * d**2`` where ``d = abs(input - target)`` is below ``delta``, ``delta * (d - 0.5 * delta)`` elsewhere.

    Error of an element at most 5 units in float32.

    Args:
        input, target, reduction: as for :func:`mse_loss`.
        delta: where the square ends; positive.
        weight: factors of the elements, of ``input``'s shape; mean divides by the number of elements.

    Returns:
        As :func:`mse_loss`.

    Raises:
        RuntimeError: a ``delta`` that is not positive, shapes that do not broadcast, or an integer input.
        ValueError: another ``reduction``, or a ``weight`` of another shape.

    Example:
        >>> torchext.huber_loss(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0]), reduction="none", delta=2.0)
        tensor([0.5000, 4.0000])

    Source: Huber 1964; :func:`torch.nn.functional.huber_loss`.
    """
    if weight is None and not is_dynamo_compiling():
        result = _fast.huber_loss(input, target, reduction, delta)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target, weight):
        return handle_torch_function(
            huber_loss, (input, target, weight), input, target, reduction=reduction, delta=delta, weight=weight
        )
    _warn_of_broadcasting(input, target)
    input_, target_ = torch.broadcast_tensors(input, target)
    call = _ops if is_dynamo_compiling() else _general
    if weight is not None:
        return call._weighted_huber_loss(input_, target_, weight, _weighted_reduction(input, weight, reduction), delta)
    return call.huber_loss(input_, target_, _reduction.get_enum(reduction), delta)


@drop_in(
    F.binary_cross_entropy, aten_overloads=("binary_cross_entropy", "binary_cross_entropy.out"), family="loss",
    opinfo="nn.functional.binary_cross_entropy", bench_inputs=probabilities,
)  # fmt: skip
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-(target * log(input) + (1 - target) * log(1 - input))``, each logarithm being at least -100.

    Error of an element at most 8 units in float32.

    Args:
        input: any shape; floating, in [0, 1].
        target: the same shape and dtype, in [0, 1].
        weight: factors of the elements; broadcast to ``input``'s shape.
        size_average, reduce: deprecated, see ``reduction``.
        reduction: ``"none"``, ``"mean"`` (over all elements, whatever the weights) or ``"sum"``.

    Returns:
        As :func:`mse_loss`.

    Raises:
        RuntimeError: an element outside of [0, 1], NaN included, or two dtypes.
        ValueError: two shapes, or another ``reduction``.

    Example:
        >>> torchext.binary_cross_entropy(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 1.0]), reduction="none")
        tensor([  0.6931, 100.0000])

    Source: :func:`torch.nn.functional.binary_cross_entropy`.
    """
    if size_average is None and reduce is None and weight is None and not is_dynamo_compiling():
        result = _fast.binary_cross_entropy(input, target, reduction)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target, weight):
        return handle_torch_function(
            binary_cross_entropy, (input, target, weight), input, target, weight=weight, size_average=size_average,
            reduce=reduce, reduction=reduction,
        )  # fmt: skip
    number = _reduction.get_enum(_reduction_name(size_average, reduce, reduction))
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(torch.broadcast_shapes(target.size(), weight.size()))
    call = _ops if is_dynamo_compiling() else _general
    return call.binary_cross_entropy(input, target, weight, number)


@drop_in(
    F.binary_cross_entropy_with_logits,
    aten_overloads=("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits.out"), family="loss",
    opinfo="nn.functional.binary_cross_entropy_with_logits", bench_inputs=logits,
)  # fmt: skip
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """``max(input, 0) - input * target + log(1 + exp(-abs(input)))``: binary_cross_entropy of ``sigmoid(input)``.

    Error of an element at most 6 units in float32 for a target in [0, 1], also where PyTorch's terms cancel.

    Args:
        input: any shape; floating.
        target: the same shape and dtype.
        weight: factors of the elements; broadcast.
        size_average, reduce: deprecated, see ``reduction``.
        reduction: ``"none"``, ``"mean"`` (over all elements, whatever the weights) or ``"sum"``.
        pos_weight: factors of ``target``; broadcast.

    Returns:
        As :func:`mse_loss`. An input of -inf gives NaN.

    Raises:
        RuntimeError: an integer input, or weights that do not broadcast.
        ValueError: two shapes, or another ``reduction``.

    Example:
        >>> torchext.binary_cross_entropy_with_logits(torch.tensor([0.0, 2.0]), torch.tensor([1.0, 1.0]))
        tensor(0.4100)

    Source: :func:`torch.nn.functional.binary_cross_entropy_with_logits`.
    """
    if size_average is None and reduce is None and weight is None and pos_weight is None and not is_dynamo_compiling():
        result = _fast.binary_cross_entropy_with_logits(input, target, reduction)
        if result is not NotImplemented:
            return result
    if has_torch_function_variadic(input, target, weight, pos_weight):
        return handle_torch_function(
            binary_cross_entropy_with_logits, (input, target, weight, pos_weight), input, target, weight=weight,
            size_average=size_average, reduce=reduce, reduction=reduction, pos_weight=pos_weight,
        )  # fmt: skip
    number = _reduction.get_enum(_reduction_name(size_average, reduce, reduction))
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    call = _ops if is_dynamo_compiling() else _general
    return call.binary_cross_entropy_with_logits(input, target, weight, pos_weight, number)
