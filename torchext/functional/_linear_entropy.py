"""linear_cross_entropy: the loss of a linear layer's logits, without the logits."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling
from torch.nn import LinearCrossEntropyOptions
from torch.nn._reduction import get_enum
from torch.overrides import handle_torch_function, has_torch_function

from torchext import _C
from torchext._registry import drop_in, linear_classes
from torchext.functional import reductions
from torchext.functional._entropy import cross_entropy
from torchext.functional.products import addmm, linear, mm

__all__ = ["linear_cross_entropy"]

# Logits exist for one chunk of rows at a time, in one buffer, where their gradient replaces them: with what the
# products pack, a tenth of all logits, in whole tiles of the products' kernels, but 24 rows or more, so that they stay
# products of matrices. Every chunk reads both matrices once more and reads and writes the gradient of the weight.
_PART = 1 / 10.25
_PACKED = 2816  # bytes for each row of a chunk, of two threads: csrc/ops/gemm_tasks.h. More would make other chunks.
_PACKED_ROWS = 64  # of the input, where chunks are as small: csrc/ops/gemm_swapped.h
_TILE = 14  # rows of two, with AVX-512
_SMALLEST_CHUNK = 24
# Bytes of logits from which on chunks are made. Below, memory is no concern, and whole products are faster.
_WORTHWHILE = 64 << 20


def _chunk_rows(rows: int, row_bytes: int, input_row_bytes: int) -> int:
    """Rows of a chunk, of `rows` rows of logits."""
    most = int((rows * row_bytes * _PART - _PACKED_ROWS * input_row_bytes) / (row_bytes + _PACKED))
    return max(_SMALLEST_CHUNK, most // _TILE * _TILE or most)


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
        chunk = _chunk_rows(rows, classes * input.element_size(), input.shape[1] * input.element_size())
        needs = ctx.needs_input_grad[:2] + ctx.needs_input_grad[3:4]
        # The weight's gradient gets the weight's strides, as autograd wants it: no copy later.
        is_turned = not linear_weight.is_contiguous() and linear_weight.t().is_contiguous()
        grads: list[Tensor | None] = [torch.empty_like(input) if needs[0] else None, None, None]
        kept = target != ignore_index
        if reduction == "sum":
            divisor = 1.0
        elif weight is None:
            divisor = float(kept.sum())
        else:
            # Targets are looked at by the loss; here none may index out of bounds.
            safe = target.masked_fill(~kept, 0).clamp(0, classes - 1)
            divisor = float((weight.double()[safe] * kept).sum())
        scale = (1 / divisor if divisor else math.inf) if any(needs) else None
        total = 0.0
        logits: Tensor | None
        # Ours may convert what has fewer bits, the whole weight for each chunk.
        ours = input.dtype in (torch.float32, torch.float64)
        product, matrix_product, sum_product = (linear, mm, addmm) if ours else (F.linear, torch.mm, torch.addmm)
        for start in range(0, rows, chunk):
            x = input[start : start + chunk]
            logits = None  # before the next ones are made
            logits = product(x, linear_weight, linear_bias)
            total += _C.entropy_in_place(
                logits, target[start : start + chunk], weight, scale, ignore_index, label_smoothing
            )
            if grads[0] is not None:
                matrix_product(logits, linear_weight, out=grads[0][start : start + chunk])
            if needs[1]:
                left, right = (x.t(), logits) if is_turned else (logits.t(), x)
                if grads[1] is None:  # made by our product its memory is pooled: 19 ms of page faults for (50257, 384)
                    grads[1] = matrix_product(left, right)
                else:
                    sum_product(grads[1], left, right, out=grads[1])
                del left, right  # they hold the logits
            if needs[2]:
                sums = reductions.sum(logits, 0)
                grads[2] = sums if grads[2] is None else grads[2].add_(sums)
        if is_turned and grads[1] is not None:
            grads[1] = grads[1].t()
        ctx.save_for_backward(input, linear_weight, target, linear_bias, weight)
        ctx.grads = grads
        ctx.arguments = {
            "reduction": reduction, "ignore_index": ignore_index, "label_smoothing": label_smoothing,
        }  # fmt: skip
        return (torch.tensor(total, dtype=torch.float64) / divisor).to(input.dtype)

    @staticmethod
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        input, linear_weight, target, linear_bias, weight = ctx.saved_tensors
        wanted = [grad is not None for grad in ctx.grads]
        if torch.is_grad_enabled():  # the gradient itself is differentiated: once more, with a graph
            loss = _reference(input, linear_weight, target, linear_bias, weight=weight, **ctx.arguments)
            leaves = [t for t, is_wanted in zip((input, linear_weight, linear_bias), wanted, strict=True) if is_wanted]
            found = iter(torch.autograd.grad(loss, leaves, grad_output, create_graph=True))
            results = [next(found) if is_wanted else None for is_wanted in wanted]
        elif (
            torch._C._autograd._get_current_graph_task_keep_graph()
            or torch._C._functorch.peek_interpreter_stack() is not None
        ):
            results = [None if grad is None else grad * grad_output for grad in ctx.grads]
        else:  # nobody asks again: no copy, and for the usual gradient of 1 nothing to do
            results, ctx.grads = ctx.grads, None
            if grad_output.item() != 1:
                results = [None if grad is None else grad.mul_(grad_output) for grad in results]
        return results[0], results[1], None, results[2], None, None, None, None


def _is_plain(input: Any, linear_weight: Any, target: Any, linear_bias: Tensor | None, label_smoothing: float) -> bool:
    """Whether sizes may be looked at and fit: matrices, class indices; nobody traces, maps or casts the call."""
    return (
        isinstance(input, Tensor)
        and isinstance(linear_weight, Tensor)
        and isinstance(target, Tensor)
        and input.dim() == 2
        and linear_weight.dim() == 2
        and target.dim() == 1
        and target.dtype == torch.int64
        and not is_compiling()
        and not torch.is_autocast_enabled("cpu")
        and torch._C._functorch.peek_interpreter_stack() is None
        and torch._C._len_torch_dispatch_stack() == 0
        and target.size(0) == input.size(0)
        and linear_weight.size(1) == input.size(1)
        and (linear_bias is None or linear_bias.shape == linear_weight.shape[:1])
        and 0 <= label_smoothing <= 1
    )


def _is_chunkable(input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Tensor | None,
                  weight: Tensor | None, reduction: str) -> bool:  # fmt: skip
    """Whether the chunks may run: one floating dtype on the CPU, one number as result, no tangents."""
    tensors = [t for t in (input, linear_weight, linear_bias, weight) if t is not None]
    return (
        reduction in ("mean", "sum")
        and forward_ad._current_level < 0
        and input.shape[0] > _SMALLEST_CHUNK
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

    The logits and their gradient take less than a tenth of what they would take at once (and half a MiB for each
    thread beyond two). Gradients are made in forward, by the same three products. With ``reduction="none"``, class
    probabilities, logits of more dimensions, ``options``, under a compiler or a transform the logits are made at
    once, as in torch.

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
    if has_torch_function(tensors):
        return handle_torch_function(
            linear_cross_entropy, tensors, input, linear_weight, target, linear_bias=linear_bias, weight=weight,
            reduction=reduction, ignore_index=ignore_index, label_smoothing=label_smoothing, options=options,
        )  # fmt: skip
    if options is None and _is_plain(input, linear_weight, target, linear_bias, label_smoothing):
        index = -100 if ignore_index is None else ignore_index
        if input.size(0) * linear_weight.size(0) * input.element_size() < _WORTHWHILE:
            logits = F.linear(input, linear_weight, linear_bias)
            return _C.cross_entropy_loss(logits, target, weight, get_enum(reduction), index, label_smoothing)
        if _is_chunkable(input, linear_weight, target, linear_bias, weight, reduction):
            result: Tensor = _Chunked.apply(
                input, linear_weight, target, linear_bias, weight, reduction, index, label_smoothing
            )
            return result
    return F.linear_cross_entropy(
        input, linear_weight, target, linear_bias=linear_bias, weight=weight, reduction=reduction,
        ignore_index=ignore_index, label_smoothing=label_smoothing, options=options,
    )  # fmt: skip
