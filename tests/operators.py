"""Every operator of torch.ops.rusttorch, with arguments made from its schema: nothing here is a list kept by hand."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import torchext  # noqa: F401  (defines the operators)
from torchext._registry import rows


def overloads() -> dict[str, Any]:
    """Qualified name ("add.Tensor") -> overload, for every operator in the namespace."""
    found = {}
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("rusttorch::"):
            operator, _, overload = name.removeprefix("rusttorch::").partition(".")
            found[f"{operator}.{overload}".rstrip(".")] = getattr(
                getattr(torch.ops.rusttorch, operator), overload or "default"
            )
    return dict(sorted(found.items()))


OVERLOADS = overloads()
PRODUCTS = {row.name for row in rows() if row.family == "product"}
EVERY_INPLACE = [name for name in OVERLOADS if name.split(".")[0].endswith("_")]
EVERY_OUT = [name for name in OVERLOADS if OVERLOADS[name]._schema.is_mutable and name not in EVERY_INPLACE]
FUNCTIONAL = [name for name in OVERLOADS if name not in EVERY_INPLACE and name not in EVERY_OUT]
# Of the operators whose result has the operands' shape; test_reductions.py and test_products.py have the others.
INPLACE = [name for name in EVERY_INPLACE if name.removesuffix("_") not in PRODUCTS]
OUT = [
    name
    for name in EVERY_OUT
    if name.split(".")[0] not in {row.name for row in rows() if row.family in ("reduction", "product")}
]


def twin(name: str) -> Any:
    """ATen's operator of the same name, or None for our own."""
    operator, _, overload = name.partition(".")
    packet = getattr(torch.ops.aten, operator, None)
    return packet and getattr(packet, overload or "default", None)


def point_of(name: str) -> str:
    """The decision point that counts an overload: its name without in-place mark and overload."""
    operator = name.split(".")[0]
    return {"_cross_entropy_forward": "cross_entropy_loss", "_nll_loss_forward": "nll_loss_nd"}.get(
        operator, operator.removesuffix("_").removeprefix("_weighted_")
    )


# Values for arguments without a default, by name; a schema with another name fails with KeyError until it is added.
SCALARS = {
    "other": 1.5, "alpha": 2, "negative_slope": 0.1, "scale": 1.25, "input_scale": 1.5, "threshold": 0, "beta": 2,
    "is_result": False, "self_is_result": False, "rounding_mode": "floor", "approximate": "tanh", "dim": -1,
    "dtype": None, "input_dtype": torch.float32, "keepdim": False, "correction": 1,
    "reduction": 0, "delta": 1.5, "weight": None, "pos_weight": None,
    "p": 1.0, "train": True, "generator": None,  # what draws no random numbers
}  # fmt: skip


REDUCTIONS = {row.name for row in rows() if row.family == "reduction"}


def is_reduction(overload: Any) -> bool:
    return overload._schema.name.removeprefix("rusttorch::") in REDUCTIONS


def arguments(overload: Any, shape: tuple[int, ...] = (3, 4), dtype: torch.dtype = torch.float32) -> tuple[list, dict]:
    """Positional and keyword arguments for one call of ``overload``; divisors are away from zero."""
    if any(name in overload._schema.name for name in ("cross_entropy_loss", "_cross_entropy_", "nll_loss")) and (
        "binary" not in overload._schema.name
    ):
        return entropy_arguments(overload, shape, dtype)
    if "_norm" in overload._schema.name:
        return normalization_arguments(overload, shape, dtype)
    if overload._schema.name.removeprefix("rusttorch::").removesuffix("_") in PRODUCTS:
        return product_arguments(overload, shape, dtype)
    if overload._schema.name == "rusttorch::_extremes_backward":  # of amax along the last dimension
        x = torch.rand(shape, dtype=torch.float64).to(dtype)
        return [torch.rand_like(x[..., :1]), x, x.amax(-1, keepdim=True), False], {}
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument in overload._schema.arguments:
        if argument.name == "out" and is_reduction(overload):
            along = any(other.name == "dim" for other in overload._schema.arguments)
            value: Any = torch.empty(shape[:-1] if along else (), dtype=dtype)
            value = value.long() if "arg" in overload._schema.name else value
        elif str(argument.type) == "Tensor":
            value = torch.rand(shape, dtype=torch.float64) + 0.5
            if "::binary_cross_entropy" in overload._schema.name:
                value = value + 0.5  # below, a probability
            value = (value if argument.name == "other" else value - 1).to(dtype)
            if argument.name == "mask":
                value = value > 0
        elif argument.name == "dim" and "int[" in str(argument.type):
            value = [-1]
        elif argument.name == "threshold" and "softplus" in overload._schema.name:
            value = 20
        else:
            value = SCALARS[argument.name]
        if isinstance(value, torch.dtype) and argument.name == "input_dtype":
            value = dtype
        if argument.kwarg_only:
            keywords[argument.name] = value
        else:
            positional.append(value)
    return positional, keywords


def product_arguments(overload: Any, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[list, dict]:
    """The same for products of matrices, all of them square or batches of square ones."""
    side = (shape[-1], shape[-1])
    matrix = (2, *side) if "bmm" in overload._schema.name else side
    positional, keywords = [], {}
    for argument in overload._schema.arguments:
        value = torch.rand(matrix, dtype=torch.float64).to(dtype) if str(argument.type) == "Tensor" else 1
        if argument.name == "bias":
            value = torch.rand(shape[-1], dtype=torch.float64).to(dtype)
        elif argument.name == "activation":
            value = "gelu"
        if argument.kwarg_only:
            keywords[argument.name] = value
        else:
            positional.append(value)
    return positional, keywords


def entropy_arguments(overload: Any, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[list, dict]:
    """The same for losses of class indices: rows of logits, a class each, and a summed loss."""
    logits = torch.rand(shape, dtype=torch.float64).to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    values = {
        "self": logits, "target": torch.randint(shape[1], shape[:1]), "weight": None,
        "reduction": 2, "ignore_index": -100, "label_smoothing": 0.1, "grad_output": torch.tensor(1.5, dtype=dtype),
        "max": logits.to(wide).amax(1), "log_sum": (logits - logits.amax(1, True)).to(wide).logsumexp(1),
        "total_weight": torch.tensor(1.5, dtype=dtype if "nll" in overload._schema.name else torch.float64),
    }  # fmt: skip
    return [values[argument.name] for argument in overload._schema.arguments], {}


def normalization_arguments(overload: Any, shape: tuple[int, ...], dtype: torch.dtype) -> tuple[list, dict]:
    """The same for normalisations of the last dimension, with weight and bias."""
    x = torch.rand(shape, dtype=torch.float64).to(dtype)
    rms = "rms" in overload._schema.name
    values = {
        "input": x, "normalized_shape": list(shape[-1:]),
        "weight": torch.rand(shape[-1:], dtype=torch.float64).to(dtype),
        "bias": torch.rand(shape[-1:], dtype=torch.float64).to(dtype), "eps": 0.1, "cudnn_enable": True,
        "grad_out": torch.rand(shape, dtype=torch.float64).to(dtype), "mean": x.mean(-1, True),
        "rstd": (x.square() if rms else x.var(-1, correction=0, keepdim=True)).mean(-1, True).add(0.1).rsqrt(),
        "output_mask": [True] * (2 if rms else 3),
    }  # fmt: skip
    return [values[argument.name] for argument in overload._schema.arguments], {}


def written(overload: Any, positional: list, keywords: dict) -> Tensor:
    """The tensor that a mutable overload writes."""
    return keywords.get(destination(overload), positional[0])


def destination(overload: Any) -> str:
    """The argument that a mutable overload writes: "self", "out" or "grad_input"."""
    arguments = overload._schema.arguments
    return next(argument.name for argument in arguments if argument.alias_info and argument.alias_info.is_write)


def copied(positional: list, keywords: dict) -> tuple[list, dict]:
    """The same arguments with fresh tensors of the same strides."""

    def copy(value: Any) -> Any:
        return value.detach().clone(memory_format=torch.preserve_format) if isinstance(value, Tensor) else value

    return [copy(value) for value in positional], {name: copy(value) for name, value in keywords.items()}
