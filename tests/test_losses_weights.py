"""Weights of losses: values and gradients against float64, every way to broadcast, what is ATen's, and ``out=``."""

from __future__ import annotations

import inspect

import pytest
import torch
import torch.nn.functional as F
from operators import OVERLOADS
from support import (
    FLOATING,
    assert_same_bits,
    assert_same_form,
    assert_tables_agree,
    assert_units,
    outcome,
    row_named,
    streaming_above,
    taken,
)  # fmt: skip
from test_losses import NAMES, PARAMETERS, bound_of, data, every_dtype, every_reduction

import torchext

# (function, name of the factors)
WEIGHTED = [
    (name, argument)
    for name in NAMES
    for argument in ("weight", "pos_weight")
    if argument in inspect.signature(row_named(name).function).parameters
]
BROADCAST = [case for case in WEIGHTED if "cross" in case[0]]
every_case = pytest.mark.parametrize(("name", "argument"), WEIGHTED, ids=lambda value: str(value))
every_broadcast = pytest.mark.parametrize(("name", "argument"), BROADCAST, ids=lambda value: str(value))


def factors(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return (torch.rand(shape, dtype=torch.float64) * 2 + 0.25).to(dtype)


def exact(name: str, x: torch.Tensor, y: torch.Tensor, reduction: str, **kwargs: object) -> torch.Tensor:
    """In float64. With logits, by terms that do not cancel."""
    tensors = {key: value.double() for key, value in kwargs.items() if isinstance(value, torch.Tensor)}
    x, y = x.double(), y.double()
    if name != "binary_cross_entropy_with_logits":
        return row_named(name).original(x, y, reduction=reduction, **(kwargs | tensors))
    p, weight = tensors.get("pos_weight", 1.0), tensors.get("weight", 1.0)
    loss = torch.where(x < 0, -x * p * y, x * (1 - y)) + (1 - y + p * y) * torch.log1p(torch.exp(-x.abs()))
    loss = loss * weight
    return {"none": loss, "mean": loss.mean(), "sum": loss.sum()}[reduction]


def gradient(function, x, y, grad_output=None, **kwargs):
    leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    result = function(leaf, y, **kwargs)
    grad_output = torch.ones_like(result) if grad_output is None else grad_output
    return result.detach(), torch.autograd.grad(result, leaf, grad_output)[0]


@pytest.mark.parametrize("elements", [1, 15, 127, 1000, 8192, 70_001])
@every_reduction
@every_dtype
@every_case
def test_values(name, argument, dtype, reduction, elements, instruction_set, fast_path):
    x, y = data(name, elements, dtype=dtype)
    if dtype == torch.float16 and reduction == "sum" and elements > 1000:
        pytest.skip("beyond the largest float16")
    kwargs = {argument: factors(elements, dtype=dtype), **PARAMETERS.get(name, {})}
    with fast_path(name):
        result = row_named(name).function(x, y, reduction=reduction, **kwargs)
    assert result.dtype == dtype
    bound = bound_of(name, dtype) + (8 if dtype == torch.float32 else 0)
    assert_units(result, exact(name, x, y, reduction, **kwargs), bound, (name, reduction))


@pytest.mark.parametrize("elements", [1, 130, 70_001])
@every_reduction
@every_dtype
@every_case
def test_gradient(name, argument, dtype, reduction, elements, instruction_set, fast_path):
    x, y = data(name, elements, dtype=dtype)
    kwargs = {argument: factors(elements, dtype=dtype), **PARAMETERS.get(name, {})}
    wide_kwargs = {key: v.double() if isinstance(v, torch.Tensor) else v for key, v in kwargs.items()}
    row = row_named(name)
    grad_output = torch.randn((elements,) if reduction == "none" else (), dtype=torch.float64).to(dtype)
    with fast_path(name, f"{name}_backward"):
        _, grad = gradient(row.function, x, y, grad_output, reduction=reduction, **kwargs)
    _, expected = gradient(
        row.original, x.double(), y.double(), grad_output.double(), reduction=reduction, **wide_kwargs
    )
    epsilon = torch.finfo(dtype).eps
    scale = float(grad_output.abs().max()) * 2.25 / (elements if reduction == "mean" else 1)
    if name == "binary_cross_entropy":
        expected = expected.to(dtype).double()  # float16 overflows next to 0 and 1
    smallest = torch.finfo(dtype).smallest_normal * epsilon
    torch.testing.assert_close(grad.double(), expected, rtol=6 * epsilon, atol=6 * epsilon * scale + smallest)
    assert grad.dtype == dtype


SHAPES = {
    "same": (7, 1, 5, 90), "last": (90,), "rows": (7, 1, 1, 1), "middle": (5, 1), "two": (5, 90), "one": (1,),
    "number": (), "ends": (7, 1, 1, 90), "inner one": (7, 1, 5, 1),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
@every_reduction
@every_broadcast
def test_broadcast(name, argument, reduction, shape, fast_path):
    """As with the factors written out, bit for bit, and as torch; also with both kinds of factors."""
    for dtype in FLOATING:
        x, y = data(name, 7, 1, 5, 90, dtype=dtype)
        for both in {False, argument == "pos_weight"}:
            kwargs = {argument: factors(*SHAPES[shape], dtype=dtype)}
            if both:
                kwargs["weight"] = factors(5, 1, dtype=dtype)
            with fast_path(name, f"{name}_backward"):
                ours = gradient(row_named(name).function, x, y, reduction=reduction, **kwargs)
            whole = {key: value.expand(x.shape).contiguous() for key, value in kwargs.items()}
            written_out = gradient(row_named(name).function, x, y, reduction=reduction, **whole)
            stock = gradient(row_named(name).original, x, y, reduction=reduction, **kwargs)
            for a, b, c in zip(ours, written_out, stock, strict=True):
                assert_same_bits(a, b)
                assert_same_form(a, c)
                if dtype in (torch.float32, torch.float64):
                    torch.testing.assert_close(a, c)


@pytest.mark.parametrize("shape", [(3, 70_001), (70_001, 3), (100, 40, 50), (20_000, 1, 2)])
@every_reduction
@every_broadcast
def test_long_broadcast(name, argument, reduction, shape, fast_path):
    """Several pieces and threads; periods that divide no buffer."""
    x, y = data(name, *shape)
    for sizes in (shape[-1:], shape[:1] + (1,) * (len(shape) - 1), (*shape[:-1], 1)):
        kwargs = {argument: factors(*sizes)}
        found = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            with fast_path(name):
                found.append(gradient(row_named(name).function, x, y, reduction=reduction, **kwargs))
        kwargs = {argument: kwargs[argument].expand(shape).contiguous()}
        found.append(gradient(row_named(name).function, x, y, reduction=reduction, **kwargs))
        for result, grad in found[1:]:
            assert_same_bits(result, found[0][0])
            assert_same_bits(grad, found[0][1])


@every_reduction
@every_dtype
@every_case
def test_same_bits(name, argument, dtype, reduction):
    """For any number of threads, on every table, and by the other way to memory."""
    x, y = data(name, 120_003, dtype=dtype)
    kwargs = {argument: factors(120_003, dtype=dtype), "reduction": reduction}
    expected = gradient(row_named(name).function, x, y, **kwargs)
    found = []
    for threads in (1, 2, 3, 8):
        torch.set_num_threads(threads)
        found.append(gradient(row_named(name).function, x, y, **kwargs))
    tables = {}
    for isa in torchext.isa.available():
        with torchext.isa.using(isa):
            tables[isa] = gradient(row_named(name).function, x, y, **kwargs)
    for isa, (result, grad) in tables.items():
        assert_tables_agree(name, isa, result, tables["scalar"][0])
        assert_same_bits(grad, tables["scalar"][1])
    with streaming_above(0):
        found.append(gradient(row_named(name).function, x, y, **kwargs))
    for result, grad in found:
        assert_same_bits(result, expected[0])
        assert_same_bits(grad, expected[1])


@every_reduction
@every_case
def test_what_is_atens(name, argument, reduction):
    """Weights of another dtype or that require grad, inputs that are not contiguous: torch's results and gradients."""
    x, y = data(name, 6, 8)
    w = factors(6, 8)
    cases = {
        "dtype": (x, y, w.double()),
        "integer": (x, y, torch.ones(6, 8, dtype=torch.int64)),
        "transposed": (x.t().contiguous().t(), y.t().contiguous().t(), w),
        "target": (x, y.t().contiguous().t(), w),
    }
    row = row_named(name)
    for label, (input, target, weight) in cases.items():
        before = taken(name)
        results = [outcome(gradient, f, input, target, reduction=reduction, **{argument: weight})
                   for f in (row.function, row.original)]  # fmt: skip
        assert taken(name) == before, label
        assert results[0].error is results[1].error, label
        if results[1].error is None:
            for ours, stock in zip(results[0].result, results[1].result, strict=True):
                assert_same_form(ours, stock, label)
                torch.testing.assert_close(ours, stock)
    leaves = [t.clone().requires_grad_() for t in (x, w)]  # ATen's cross entropies refuse such weights

    def gradients(f):
        return torch.autograd.grad(f(leaves[0], y, reduction=reduction, **{argument: leaves[1]}).sum(), leaves)

    ours, stock = outcome(gradients, row.function), outcome(gradients, row.original)
    assert ours.error is stock.error
    assert (stock.error is None) == ("cross" not in name)
    if stock.error is None:
        torch.testing.assert_close(ours.result, stock.result)


@every_reduction
@every_case
def test_weights_of_any_layout(name, argument, reduction, fast_path):
    x, y = data(name, 6, 8)
    row = row_named(name)
    w = factors(6, 8)
    for weight in (w.t().contiguous().t(), w[:, :1].expand(6, 8), w.repeat_interleave(2, 1)[:, ::2]):
        with fast_path(name, f"{name}_backward"):
            ours = gradient(row.function, x, y, reduction=reduction, **{argument: weight})
        stock = gradient(row.original, x, y, reduction=reduction, **{argument: weight})
        assert_same_bits(ours[0], row.function(x, y, reduction=reduction, **{argument: weight.contiguous()}))
        for a, b in zip(ours, stock, strict=True):
            torch.testing.assert_close(a, b)


@every_reduction
@every_case
def test_special_factors(name, argument, reduction):
    """Zero, infinite and NaN factors, and no elements: as torch."""
    row = row_named(name)
    for value in (0.0, -1.0, torch.inf, torch.nan):
        x, y = data(name, 40)
        weight = torch.full((40,), value)
        ours, stock = (
            gradient(f, x, y, reduction=reduction, **{argument: weight}) for f in (row.function, row.original)
        )
        for a, b in zip(ours, stock, strict=True):
            torch.testing.assert_close(a, b, equal_nan=True)
    for shape in ((0,), (3, 0)):
        x, y = data(name, *shape)
        ours, stock = (
            gradient(f, x, y, reduction=reduction, **{argument: torch.ones(shape)})
            for f in (row.function, row.original)
        )
        for a, b in zip(ours, stock, strict=True):
            assert_same_bits(a, b)


def test_small_pos_weight_keeps_its_digits(fast_path):
    """log(1 + e^-x) times p, where torch's (p - 1) + 1 has rounded p."""
    x, p = torch.tensor([1.0, -2.0, 0.25]), torch.tensor([1e-6, 3e-7, 1e-9])
    with fast_path("binary_cross_entropy_with_logits"):
        result = torchext.binary_cross_entropy_with_logits(x, torch.ones(3), pos_weight=p, reduction="none")
    expected = exact("binary_cross_entropy_with_logits", x, torch.ones(3), "none", pos_weight=p)
    assert_units(result, expected, 12)


@every_case
def test_wrong_factors(name, argument):
    """torch's exception class."""
    x, y = data(name, 3, 4)
    for weight in (torch.rand(5), torch.rand(2, 3, 4), torch.rand(4), torch.rand(0), 2.0, "text"):
        for reduction in ("mean", "none", "median", "elementwise_mean"):
            ours, stock = (
                outcome(f, x, y, reduction=reduction, **{argument: weight})
                for f in (row_named(name).function, row_named(name).original)
            )
            assert ours.error is stock.error, (weight, reduction, ours, stock)


@every_reduction
@every_case
def test_gradcheck(name, argument, reduction, fast_path):
    x, y = data(name, 4, 5, dtype=torch.float64)
    if name == "binary_cross_entropy":
        x = x * 0.8 + 0.1
    kwargs = {argument: factors(4, 5, dtype=torch.float64), **PARAMETERS.get(name, {})}

    def function(x):
        return row_named(name).function(x, y, reduction=reduction, **kwargs)

    with fast_path(name, f"{name}_backward"):
        assert torch.autograd.gradcheck(function, x.requires_grad_(), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@every_case
def test_transforms(name, argument):
    """compile, vmap, autocast."""
    torch._dynamo.reset()
    x, y = data(name, 6, 5)
    row, kwargs = row_named(name), {argument: factors(6, 5)}
    compiled = torch.compile(lambda x: row.function(x, y, **kwargs) * 2, fullgraph=True, backend="aot_eager")
    leaf = x.clone().requires_grad_()
    before = taken(name), taken(f"{name}_backward")
    compiled(leaf).backward()
    assert (taken(name), taken(f"{name}_backward")) == (before[0] + 1, before[1] + 1)
    torch.testing.assert_close(leaf.grad, gradient(row.original, x, y, **kwargs)[1] * 2)
    batched = torch.vmap(lambda x, y, w: row.function(x, y, reduction="none", **{argument: w}))(x, y, kwargs[argument])
    torch.testing.assert_close(batched, row.original(x, y, reduction="none", **kwargs))
    for dtype in (torch.bfloat16, torch.float32):
        tensors = [t.to(dtype) for t in (x, y, kwargs[argument])]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours, stock = (f(*tensors[:2], **{argument: tensors[2]}) for f in (row.function, row.original))
        assert_same_form(ours, stock)
        torch.testing.assert_close(ours, stock)


@every_case
def test_opcheck(name, argument):
    x, y = data(name, 3, 4)
    weight, operator = (
        factors(3, 4),
        getattr(torch.ops.rusttorch, name if "cross" in name else f"_weighted_{name}").default,
    )
    kwargs = {argument: weight, "reduction": 1} | ({"delta": 0.7} if "huber" in name else {})
    torch.library.opcheck(operator, (x, y), kwargs)
    torch.library.opcheck(operator, (x.requires_grad_(), y), kwargs)


OUTS = [name for name in OVERLOADS if name.split(".")[0].removesuffix("_backward") in NAMES and "." in name]


@pytest.mark.parametrize("name", OUTS)
def test_out_of_a_reduction(name):
    """The number, or its gradient, in the caller's tensor, whose version goes up; others are ATen's to resize."""
    operator = name.split(".")[0]
    function = operator.removesuffix("_backward")
    overload = OVERLOADS[name]
    out_name = overload._schema.arguments[-1].name
    assert len(OUTS) == 9
    for dtype in FLOATING:
        x, y = data(function, 5, 60, dtype=dtype)
        further = {"beta": 0.7} if "smooth" in name else {"delta": 0.7} if "huber" in name else {}
        first = (torch.tensor(1.5, dtype=dtype),) if "_backward" in name else ()
        for reduction in (1, 2):
            arguments = dict(reduction=reduction, **further)
            expected = getattr(torch.ops.aten, operator).default(*first, x, y, **arguments)
            outs = [(torch.zeros_like(expected), 1), (torch.zeros(7, dtype=dtype).resize_(0), 0)]
            if function == "binary_cross_entropy":  # ATen's takes a tensor of the input's size alone
                outs = [(torch.zeros_like(x), int("_backward" in name))]
            for out, ours in outs:
                before, version = taken(operator), out._version
                result = overload(*first, x, y, **arguments, **{out_name: out})
                assert result is out
                assert taken(operator) == before + ours
                assert out._version > version
                tolerance = 4 * torch.finfo(dtype).eps
                torch.testing.assert_close(out, expected, rtol=tolerance, atol=tolerance)


def test_out_of_a_refused_loss():
    """Elements outside of [0, 1]: torch's sentence, and a reduced ``out`` stays as it is."""
    out = torch.zeros(())
    with pytest.raises(RuntimeError, match="all elements of input should be between 0 and 1"):
        torch.ops.rusttorch.binary_cross_entropy.out(torch.full((40,), 1.5), torch.ones(40), out=out)
    assert out == 0
    with pytest.raises(RuntimeError):  # differentiable ``out=`` is refused, as by torch
        x = torch.ones(3, requires_grad=True)
        torch.ops.rusttorch.mse_loss.out(x, torch.ones(3), out=out)
    assert F.mse_loss is not torchext.mse_loss
