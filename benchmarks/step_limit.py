"""What a training step cannot go below while its operators run one after the other.

Products count at the rate of multiply-adds, or of memory where that takes longer; every other operator at the rate of
memory: what it reads and writes, once, at the bandwidth of that footprint (torchext/_bench_limits.py). Views are free,
and so are tables of which an operator reads a few rows, all arithmetic but that of products, calls, and Python.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from torchext import _C, _bench_limits

# What these read is a few elements of each row, or the shape.
RESULT_ONLY = (
    "aten::embedding", "aten::embedding_dense_backward", "aten::index_select", "aten::gather", "aten::nll_loss_forward",
    "aten::nll_loss_backward",
)  # fmt: skip
OVERWRITING = ("aten::copy_", "aten::zero_", "aten::fill_", "aten::bernoulli_")  # their self is not read
ALLOCATIONS = ("aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided", "aten::new_empty_strided")
ATTENTION = "aten::_scaled_dot_product_flash_attention_for_cpu"


class Call(NamedTuple):
    multiply_adds: int
    moved: int  # bytes


def tensors_of(values: Any) -> list[torch.Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def attention_multiply_adds(query: torch.Tensor, key: torch.Tensor, is_causal: bool, products: int) -> int:
    """Of (queries, features, keys) for each head; a causal mask leaves half."""
    return math.prod(query.shape) * key.shape[-2] * products // (2 if is_causal else 1)


class Recorder(TorchDispatchMode):
    """Counts the calls of each amount of work."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[Call] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        schema, name = function._schema, function._schema.name
        given = dict(zip((argument.name for argument in schema.arguments), args, strict=False)) | kwargs
        read, results = tensors_of(given), tensors_of(result)
        changed = [a.name for a in schema.arguments if a.is_write and a.name != "grads"]  # of the optimizer: not really
        written = tensors_of([given[argument] for argument in changed]) or results
        memory = {tensor.untyped_storage().data_ptr() for tensor in read}
        is_view = not changed and all(tensor.untyped_storage().data_ptr() in memory for tensor in results)
        if name in ALLOCATIONS or is_view:
            return result
        multiply_adds = 0
        if name.startswith(ATTENTION):
            products = 5 if name.endswith("backward") else 2
            multiply_adds = attention_multiply_adds(
                given["query"], given["key"], given.get("is_causal", False), products
            )
        elif function.overloadpacket in flop_registry:
            multiply_adds = flop_registry[function.overloadpacket](*args, **kwargs, out_val=result) // 2
        if name in RESULT_ONLY:
            read = []
        elif name in OVERWRITING:
            read = read[1:]
        moved = _bench_limits.tensor_bytes(*read) + _bench_limits.tensor_bytes(*written)
        self.calls[Call(multiply_adds, moved)] += 1
        return result


def step_limit(step: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of the products of a step, and of all of it."""
    with Recorder() as recorder:
        step()
    products = everything = 0.0
    threads = torch.get_num_threads()
    multiply_adds = _bench_limits.fma_rate(threads).best * _C.limits_lanes()
    for call, times in recorder.calls.items():
        memory = call.moved / _bench_limits.bandwidth(call.moved, threads).best
        product = call.multiply_adds / multiply_adds
        products += times * product
        everything += times * max(memory, product)
    return products * 1e3, everything * 1e3
