"""cross_entropy and nll_loss."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.nn import _reduction
from torch.overrides import handle_torch_function, has_torch_function

from torchext._registry import class_indices, drop_in
from torchext.functional._calls import general as _general
from torchext.functional._calls import traced as _ops

__all__ = [
    "cross_entropy", "nll_loss",
]  # fmt: skip


def _reduction_index(reduction: str, size_average: bool | None, reduce: bool | None) -> int:
    """torch's number for a reduction; its older arguments, which warn, come first."""
    if size_average is not None or reduce is not None:
        return _reduction.legacy_get_enum(size_average, reduce)
    return _reduction.get_enum(reduction)


@drop_in(
    F.cross_entropy, family="loss", opinfo="nn.functional.cross_entropy", bench_inputs=class_indices,
    aten_overloads=("cross_entropy_loss", "_cross_entropy_forward"), counters=("cross_entropy_loss",),
)  # fmt: skip
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """``logsumexp(input) - input[target]`` of every row, times ``weight[target]``.

    Forward stores two numbers a row, and backward the gradient alone. Class indices run our kernels, class
    probabilities ATen's. Rows are added in float64, in an order that does not depend on the number of threads.

    Args:
        input: ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``; floating.
        target: class indices of the same shape without ``C``, or probabilities of the same shape.
        weight: one factor per class.
        size_average: deprecated; see ``reduction``.
        ignore_index: this target adds nothing to the loss, the mean or the gradient.
        reduce: deprecated; see ``reduction``.
        reduction: ``"mean"``, that is over the weights of the targets, ``"sum"`` or ``"none"``.
        label_smoothing: how much of each target goes to all classes in equal parts.

    Returns:
        A number, or with ``"none"`` one loss for each target. The mean of no targets is NaN.

    Raises:
        IndexError: a target is neither ``ignore_index`` nor in ``[0, C)``.
        RuntimeError, ValueError: shapes or dtypes that do not go together.

    Example:
        >>> torchext.cross_entropy(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))
        tensor(0.6931)

    Source: :func:`torch.nn.functional.cross_entropy`.
    """
    if has_torch_function((input, target, weight)):
        return handle_torch_function(
            cross_entropy, (input, target, weight), input, target, weight=weight, size_average=size_average,
            ignore_index=ignore_index, reduce=reduce, reduction=reduction, label_smoothing=label_smoothing,
        )  # fmt: skip
    index = _reduction_index(reduction, size_average, reduce)
    call = _ops if is_dynamo_compiling() else _general
    return call.cross_entropy_loss(input, target, weight, index, ignore_index, label_smoothing)


@drop_in(
    F.nll_loss, family="loss", opinfo="nn.functional.nll_loss", bench_inputs=class_indices,
    aten_overloads=("nll_loss_nd", "_nll_loss_forward"), counters=("nll_loss_nd",),
)  # fmt: skip
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """``-input[target]`` of every row, times ``weight[target]``; of one or two dimensions by us, of more by ATen.

    Args:
        input: log-probabilities, ``(C)``, ``(N, C)`` or ``(N, C, d1, ...)``; floating.
        target: class indices of the same shape without ``C``.
        weight: one factor per class.
        size_average: deprecated; see ``reduction``.
        ignore_index: this target adds nothing to the loss, the mean or the gradient.
        reduce: deprecated; see ``reduction``.
        reduction: ``"mean"``, that is over the weights of the targets, ``"sum"`` or ``"none"``.

    Returns:
        A number, or with ``"none"`` one loss for each target. The mean of no targets is NaN.

    Raises:
        IndexError: a target is neither ``ignore_index`` nor in ``[0, C)``.
        RuntimeError, ValueError: shapes or dtypes that do not go together.

    Example:
        >>> torchext.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
        tensor(2.)

    Source: :func:`torch.nn.functional.nll_loss`.
    """
    if has_torch_function((input, target, weight)):
        return handle_torch_function(
            nll_loss, (input, target, weight), input, target, weight=weight, size_average=size_average,
            ignore_index=ignore_index, reduce=reduce, reduction=reduction,
        )  # fmt: skip
    index = _reduction_index(reduction, size_average, reduce)
    return (_ops if is_dynamo_compiling() else _general).nll_loss_nd(input, target, weight, index, ignore_index)
