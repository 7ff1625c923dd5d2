"""The list of drop-in functions and the operators behind it are complete, and have the form of torch's."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch
from operators import OVERLOADS, twin
from support import ALL_ROWS, UNDESCRIBED, opinfos, row_named

import torchext
from torchext import _C

NAMES = [row.name for row in ALL_ROWS]

ALIASES = {"swish": "silu"}
# Operators that ATen has not: F.softsign is a Python function, addcmul, the nearest to fused_multiply_add, may round
# twice, two losses have no backward operator, and weights of three are Python's. The others are what autograd calls:
# internal.
OWN = {
    "_weighted_mse_loss", "_weighted_l1_loss", "_weighted_huber_loss",
    "_weighted_mse_loss_backward", "_weighted_l1_loss_backward", "_weighted_huber_loss_backward",
    "softsign", "softsign_backward", "fused_multiply_add", "linear_act",
    "l1_loss_backward", "binary_cross_entropy_with_logits_backward", "_logsumexp_backward",
    "_extremes_backward",
    "_cross_entropy_forward", "_cross_entropy_backward", "_nll_loss_forward",
}  # fmt: skip


def test_every_public_function_has_a_row():
    public = set(torchext.functional.__all__)
    assert len(torchext.functional.__all__) == len(public)
    assert public - set(ALIASES) == set(NAMES)
    for alias, name in ALIASES.items():
        assert getattr(torchext, alias) is getattr(torchext, name)
    for row in ALL_ROWS:
        assert row.function is getattr(torchext.functional, row.name) is getattr(torchext, row.name)
        assert row.function.__name__ == row.name
        assert row.function.__doc__
    assert public <= set(torchext.__all__)
    assert all(hasattr(torchext, name) for name in torchext.__all__)


def test_readme_lists_every_public_function():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    table = readme.split("| family | functions")[1].split("\n\n")[0]
    assert set(torchext.functional.__all__) <= set(re.findall(r"`(\w+)", table))


def signature(function) -> inspect.Signature:
    """Of built-in functions inspect finds nothing: the first line of their documentation is one."""
    try:
        return inspect.signature(function)
    except ValueError:
        arguments = re.match(r"\s*\w+(\([^)]*\))", function.__doc__)[1]
        return inspect.signature(eval(f"lambda {arguments[1:-1]}: None"))


@pytest.mark.parametrize("name", NAMES)
def test_signature(name):
    """Same names, order, kinds and defaults, so that any call of the original is a call of ours."""
    row = row_named(name)
    if row.family == "reduction":  # torch's have several signatures, which ours joins
        for qualified in row.aten_overloads:
            names = {argument.name for argument in OVERLOADS[qualified]._schema.arguments} - {"self"}
            assert names <= set(signature(row.function).parameters), qualified
        return
    ours, original = (
        [(parameter.name, parameter.kind, parameter.default) for parameter in signature(function).parameters.values()]
        for function in (row.function, row.original)
    )
    assert ours == original


@pytest.mark.parametrize("name", NAMES)
def test_row(name):
    """Overloads exist, in ATen or as our own; the rest of the row is usable."""
    row = row_named(name)
    assert row.aten_overloads
    for qualified in row.aten_overloads:
        operator, _, overload = qualified.partition(".")
        packet = torch.ops.rusttorch if operator in OWN else torch.ops.aten
        assert (overload or "default") in getattr(packet, operator).overloads(), qualified
    families = "arithmetic activation softmax reduction loss normalization dropout product"
    assert row.family in families.split()
    assert name in UNDESCRIBED or opinfos(row)
    for case in row.bench_inputs(100, torch.float32):
        result, original = (f(*case.args, **case.kwargs) for f in (row.function, row.original))
        result, original = (r[0] if isinstance(r, tuple) else r for r in (result, original))
        assert result.shape == original.shape
        assert 0 < result.numel() <= 100
    assert set(row.counters) <= set(_C.counters())  # a decision point appears with its first call


def test_every_operator_belongs_to_a_row():
    """Forgotten operators and misspelt overloads: each of ours is named by a row, or is the backward of one."""
    named = [overload for row in ALL_ROWS for overload in row.aten_overloads]
    assert len(named) == len(set(named))
    assert set(named) <= set(OVERLOADS)
    assert all(name.split(".")[0].endswith("_backward") for name in set(OVERLOADS) - set(named))


KEYS = ["CPU", "AutogradCPU", "CompositeExplicitAutograd", "FuncTorchDynamicLayerFrontMode", "AutogradNestedTensor"]


@pytest.mark.parametrize("name", OVERLOADS)
def test_kernels_of_an_overload(name):
    """Every key that an operator needs a kernel for; registration.h says why."""
    overload = OVERLOADS[name]
    mutable = overload._schema.is_mutable
    for key in [*KEYS, *(["Functionalize", "ADInplaceOrView"] if mutable else [])]:
        assert torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), key), key
    if not mutable:  # a functional operator has nothing to do there
        assert not torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "ADInplaceOrView")
    assert torch.Tag.pt2_compliant_tag in overload.tags


@pytest.mark.parametrize("name", OVERLOADS)
def test_schema(name):
    """ATen's text, but for the namespace; our own operators take a tensor first."""
    original = twin(name)
    schema = str(OVERLOADS[name]._schema)
    if name in OWN:
        assert original is None
        assert str(OVERLOADS[name]._schema.arguments[0].type) == "Tensor"
    else:
        assert schema == str(original._schema).replace("aten::", "rusttorch::", 1)


# ATen's overloads that nothing in Python calls: torch.add(tensor, 1, out=...) is add.out, too. Names of dimensions are
# handed to torch's function.
UNUSED = {"Scalar_out", "Scalar_mode_out", "names", "names_out"}
# Overloads that our functions do not call: the larger of two tensors is torch.maximum, pairs of results in ``out`` are
# written by torch, and the older forms of var and std are spelt with ``correction``.
NOT_OURS = {
    "max": {"other", "out", "dim_max"}, "min": {"other", "out", "dim_min"},
    "var": {"default", "dim", "out"}, "std": {"default", "dim", "out"},
    "native_layer_norm": {"out"}, "native_dropout": {"out"}, "bernoulli_": {"Tensor"},
    "linear": {"out"}, "matmul": {"out"},
    **{name: {"dtype", "dtype_out"} for name in ("mm", "addmm", "bmm", "baddbmm")},  # results of a wider dtype
}  # fmt: skip


@pytest.mark.parametrize("name", sorted({name.split(".")[0] for name in OVERLOADS} - OWN))
def test_all_overloads_of_an_operator_or_none(name):
    """What torch offers, we offer: functional, in place and out= (but of backward operators, which nobody calls)."""
    ours = {full.partition(".")[2] or "default" for full in OVERLOADS if full.split(".")[0] == name}
    packet = getattr(torch.ops.aten, name)
    missing = set(packet.overloads()) - ours - UNUSED
    missing -= NOT_OURS.get(name, set())
    schemas = {overload: str(getattr(packet, overload)._schema) for overload in missing}
    missing = {overload for overload, text in schemas.items() if "Tensor" in text and "Dimname" not in text}
    if "out" in missing and name in (row.name for row in ALL_ROWS if row.family == "loss"):
        missing.remove("out")  # no loss of torch.nn.functional takes it
    assert not missing or "_backward" in name, missing
