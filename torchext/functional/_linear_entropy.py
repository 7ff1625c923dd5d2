"""linear_cross_entropy: the loss of a linear layer's logits, without the logits."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import LinearCrossEntropyOptions
from torch.overrides import handle_torch_function, has_torch_function

from torchext._registry import drop_in, linear_classes
from torchext.functional._calls import traced as _ops
from torchext.functional._entropy import cross_entropy

__all__ = ["linear_cross_entropy"]

# Logits and their gradient exist for one chunk of rows at a time: two blocks of a 24th of all logits, but of 32 rows
# or more, so that the products stay products of matrices.
_CHUNKS = 24
_SMALLEST_CHUNK = 32
_SUM = 2  # torch's number of the reduction
# Bytes of logits from which on chunks are made. Below, memory is no concern, and whole products are faster: every chunk
# reads and writes the gradient of the weight.
_WORTHWHILE = 64 << 20


def _reference(
    input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None, **kwargs: Any
) -> Tensor:
    return cross_entropy(F.linear(input, linear_weight, linear_bias), target, **kwargs)


class _Chunked(torch.autograd.Function):
    """Loss and gradients of one call, chunk by chunk, in forward; backward multiplies by the incoming gradient."""

    @staticmethod
    def forward(
        ctx: Any, input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None,
        weight: Tensor | None, reduction: str, ignore_index: int, label_smoothing: float,
    ) -> Tensor:  # fmt: skip
        rows, classes = input.shape[0], linear_weight.shape[0]
        chunk = max(_SMALLEST_CHUNK, -(-rows // _CHUNKS))
        needs = ctx.needs_input_grad[:2] + ctx.needs_input_grad[3:4]
        grads = [
            torch.empty_like(tensor) if wanted and tensor is not None else None
            for tensor, wanted in zip((input, linear_weight, linear_bias), needs, strict=True)
        ]
        kept = target != ignore_index
        if reduction == "sum":
            divisor = torch.ones((), dtype=torch.float64)
        elif weight is None:
            divisor = kept.sum(dtype=torch.float64)
        else:
            # Targets are looked at by the loss; here none may index out of bounds.
            safe = target.masked_fill(~kept, 0).clamp(0, classes - 1)
            divisor = (weight.double()[safe] * kept).sum()
        scale = (1 / divisor).to(input.dtype)
        total = torch.zeros((), dtype=torch.float64)
        buffer = input.new_empty(min(chunk, rows), classes)
        for start in range(0, rows, chunk):
            x, classes_of = input[start : start + chunk], target[start : start + chunk]
            logits = buffer[: x.shape[0]]
            if linear_bias is None:
                torch.mm(x, linear_weight.t(), out=logits)
            else:
                torch.addmm(linear_bias, x, linear_weight.t(), out=logits)
            # Losses one by one, in the dtype of the logits; their sum might overflow it.
            losses, largest, log_sum, counted = _ops._cross_entropy_forward(
                logits, classes_of, weight, 0, ignore_index, label_smoothing
            )
            total += losses.sum(dtype=torch.float64)
            if not any(needs):
                continue
            grad = _ops._cross_entropy_backward(
                scale, logits, classes_of, weight, _SUM, ignore_index, label_smoothing, largest, log_sum, counted
            )
            if grads[0] is not None:
                torch.mm(grad, linear_weight, out=grads[0][start : start + chunk])
            if grads[1] is not None:
                torch.addmm(grads[1], grad.t(), x, beta=int(start > 0), out=grads[1])
            if grads[2] is not None:
                sums = grad.sum(0)
                grads[2] = grads[2].add_(sums) if start else sums
            del grad  # before the next one is made
        ctx.save_for_backward(input, linear_weight, target, linear_bias, weight, *grads)
        ctx.arguments = {
            "reduction": reduction, "ignore_index": ignore_index, "label_smoothing": label_smoothing,
        }  # fmt: skip
        return (total / divisor).to(input.dtype)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, linear_weight, target, linear_bias, weight, *grads = ctx.saved_tensors
        wanted = [grad is not None for grad in grads]
        if torch.is_grad_enabled():  # the gradient itself is differentiated: once more, with a graph
            loss = _reference(input, linear_weight, target, linear_bias, weight=weight, **ctx.arguments)
            leaves = [t for t, is_wanted in zip((input, linear_weight, linear_bias), wanted, strict=True) if is_wanted]
            found = iter(torch.autograd.grad(loss, leaves, grad_output, create_graph=True))
            results = [next(found) if is_wanted else None for is_wanted in wanted]
        else:
            results = [None if grad is None else grad * grad_output for grad in grads]
        return results[0], results[1], None, results[2], None, None, None, None


def _is_chunkable(input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None,
                  weight: Tensor | None, reduction: str) -> bool:  # fmt: skip
    """Whether the chunks may run: plain matrices of one floating dtype on the CPU, class indices, one number as result,
    and nobody who traces, maps or pushes tangents through the call."""
    tensors = [t for t in (input, linear_weight, linear_bias, weight) if t is not None]
    return (
        reduction in ("mean", "sum")
        and not is_compiling()
        and torch._C._functorch.peek_interpreter_stack() is None
        and forward_ad._current_level < 0
        and not torch.is_autocast_enabled("cpu")
        and torch._C._len_torch_dispatch_stack() == 0
        and input.dim() == linear_weight.dim() == 2
        and target.dim() == 1
        and target.dtype == torch.int64
        and target.shape[0] == input.shape[0] > _SMALLEST_CHUNK
        and linear_weight.numel() > 0
        and input.dtype in (torch.float32, torch.float64, torch.bfloat16, torch.float16)
        and all(type(t) in (Tensor, torch.nn.Parameter) and t.device.type == "cpu" for t in (*tensors, target))
        and all(t.dtype == input.dtype and t.layout == torch.strided for t in tensors)
        and (weight is None or (weight.shape == linear_weight.shape[:1] and not weight.requires_grad))
    )


@drop_in(
    F.linear_cross_entropy, family="loss", opinfo="nn.functional.linear_cross_entropy", bench_inputs=linear_classes,
    aten_overloads=("_cross_entropy_backward",), counters=("cross_entropy_loss",),
)  # fmt: skip
def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``, a few rows of the logits at a time.

    The logits and their gradient take less than a tenth of what they would take at once. Gradients are made in forward,
    by the same three products. With ``reduction="none"``, class probabilities, logits of more dimensions, ``options``,
    under a compiler or a transform the logits are made at once, as in torch.

    Args:
        input: ``(in_features)`` or ``(N, in_features)``; floating.
        linear_weight: ``(C, in_features)`` or ``(C, d1, ..., in_features)``.
        target: class indices or probabilities, as for :func:`cross_entropy`.
        linear_bias: added to the logits; as ``linear_weight`` without its last dimension.
        weight: one factor per class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        ignore_index: this target adds nothing; None: -100.
        label_smoothing: how much of each target goes to all classes in equal parts.
        options: torch's own chunks.

    Returns:
        A number, or with ``"none"`` one loss for each target.

    Raises:
        IndexError: a target is neither ``ignore_index`` nor in ``[0, C)``.
        RuntimeError, ValueError: shapes or dtypes that do not go together.

    Example:
        >>> torchext.linear_cross_entropy(torch.ones(1, 2), torch.zeros(2, 2), torch.tensor([1]))
        tensor(0.6931)

    Source: :func:`torch.nn.functional.linear_cross_entropy`.
    """
    tensors = (input, linear_weight, target, linear_bias, weight)
    kwargs: dict[str, Any] = {
        "linear_bias": linear_bias, "weight": weight, "reduction": reduction, "ignore_index": ignore_index,
        "label_smoothing": label_smoothing, "options": options,
    }  # fmt: skip
    if has_torch_function(tensors):
        return handle_torch_function(linear_cross_entropy, tensors, input, linear_weight, target, **kwargs)
    if (
        options is None
        and 0 <= label_smoothing <= 1
        and isinstance(input, Tensor)
        and isinstance(linear_weight, Tensor)
        and isinstance(target, Tensor)
        and _is_chunkable(input, linear_weight, target, linear_bias, weight, reduction)
        and input.shape[1] == linear_weight.shape[1]
        and (linear_bias is None or linear_bias.shape == linear_weight.shape[:1])
    ):
        index = -100 if ignore_index is None else ignore_index
        if input.shape[0] * linear_weight.shape[0] * input.element_size() < _WORTHWHILE:
            return _reference(
                input, linear_weight, target, linear_bias, weight=weight, reduction=reduction, ignore_index=index,
                label_smoothing=label_smoothing,
            )  # fmt: skip
        result: Tensor = _Chunked.apply(
            input, linear_weight, target, linear_bias, weight, reduction, index, label_smoothing
        )
        return result
    return F.linear_cross_entropy(input, linear_weight, target, **kwargs)
