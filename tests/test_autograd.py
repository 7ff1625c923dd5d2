"""Derivatives of every row: first, second, forward mode, batched; and rules of autograd that an operator can break."""

from __future__ import annotations

import pytest
import torch
from operators import FUNCTIONAL, INPLACE, OUT, OVERLOADS, arguments, copied, destination, twin, written
from support import NAMES, loss_arguments, outcome, row_named, takes_dim, tensor_count
from torch.autograd import gradcheck, gradgradcheck
from torch.utils.checkpoint import checkpoint

import torchext

# Keyword arguments to differentiate with, beside none.
VARIANTS = {
    "add": [{"alpha": 2.5}], "sub": [{"alpha": -2}], "div": [{"rounding_mode": "trunc"}, {"rounding_mode": "floor"}],
    "leaky_relu": [{"negative_slope": 0.2}, {"negative_slope": -0.5}], "elu": [{"alpha": 1.5}],
    "gelu": [{"approximate": "tanh"}],
    "softplus": [{"beta": 2.0}, {"beta": 1.5, "threshold": 0.5}],
    "mse_loss": [{"reduction": "none"}, {"reduction": "sum"}],
    "l1_loss": [{"reduction": "none"}, {"reduction": "sum"}],
    "smooth_l1_loss": [{"reduction": "none", "beta": 0.7}, {"reduction": "sum", "beta": 0.0}],
    "huber_loss": [{"reduction": "none", "delta": 0.7}, {"reduction": "sum"}],
    "binary_cross_entropy": [{"reduction": "none"}, {"reduction": "sum"}],
    "binary_cross_entropy_with_logits": [{"reduction": "none"}, {"reduction": "sum"}],
}  # fmt: skip
CASES = [(name, kwargs) for name in NAMES for kwargs in ({}, *VARIANTS.get(name, []))]


def numbers(*shape: int) -> torch.Tensor:
    """float64 numbers of both signs, at least 0.3 away from 0 and from 0.5 (kinks, divisors), that require grad."""
    magnitude = 0.6 + 1.5 * torch.rand(shape, dtype=torch.float64)
    return (magnitude * torch.where(torch.rand(shape) < 0.5, -1.0, 1.0)).requires_grad_()


def inputs_of(name: str, *shapes: tuple[int, ...]) -> tuple:
    """Arguments for a row, one shape per tensor, the last repeated."""
    count = tensor_count(name)
    shapes = (*shapes, *(shapes[-1:] * 3))[:count]
    return tuple(numbers(*shape) for shape in shapes)


def function_of(name: str, kwargs: dict):
    row = row_named(name)
    if row.family == "loss":
        return lambda x: row.function(*loss_arguments(name, x), **kwargs)
    dim = {"dim": 0} if takes_dim(row) else {}
    return lambda *inputs: row.function(*inputs, **dim, **kwargs)


@pytest.mark.parametrize(("name", "kwargs"), CASES, ids=str)
def test_gradcheck(name, kwargs, fast_path):
    function, inputs = function_of(name, kwargs), inputs_of(name, (3, 4))
    if name == "div" and kwargs:
        # Steps: the derivative is zero wherever it exists; numbers() keeps quotients away from integers only by chance.
        results = torch.autograd.grad(function(*inputs).sum(), inputs, allow_unused=True)
        assert all(result is None or not result.any() for result in results)
        return
    points = row_named(name).counters
    if name == "smooth_l1_loss":
        points = ("l1_loss",) if kwargs.get("beta") == 0 else (name,)
    with fast_path(*points):
        assert gradcheck(
            function, inputs, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True,
            check_undefined_grad=True,
        )  # fmt: skip


@pytest.mark.parametrize(("name", "kwargs"), [case for case in CASES if "rounding_mode" not in case[1]], ids=str)
def test_gradgradcheck(name, kwargs):
    assert gradgradcheck(function_of(name, kwargs), inputs_of(name, (2, 3)), check_batched_grad=True)


BROADCASTS = [
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((4,), (3, 4)),
    ((3, 4), ()),
    ((), (3, 4)),
    ((2, 3, 4), (3, 1)),
    ((1, 1), (3,)),
]


@pytest.mark.parametrize("shapes", BROADCASTS, ids=str)
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "fused_multiply_add"])
def test_broadcast_operands(name, shapes):
    """The gradient is summed over what was broadcast, also when one operand needs none."""
    row = row_named(name)
    inputs = inputs_of(name, *shapes)
    assert gradcheck(row.function, inputs, check_forward_ad=True)
    for wanted in range(len(inputs)):
        leaves = [tensor.detach().requires_grad_(i == wanted) for i, tensor in enumerate(inputs)]
        ours, stock = (torch.autograd.grad(f(*leaves).sum(), leaves[wanted])[0] for f in (row.function, row.original))
        torch.testing.assert_close(ours, stock)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_operands_of_mixed_dtypes(name):
    """Each gradient comes back in the dtype of its input; a number and an integer operand have none."""
    row = row_named(name)
    a, b = numbers(3, 4).detach().float().requires_grad_(), numbers(3, 4)
    for leaves in ((a, b), (b, a)):
        ours, stock = (torch.autograd.grad(f(*leaves).sum(), leaves) for f in (row.function, row.original))
        for mine, expected in zip(ours, stock, strict=True):
            assert mine.dtype == expected.dtype
            torch.testing.assert_close(mine, expected)
    for other in (3, 2.5, torch.tensor(2), torch.arange(1, 5)):
        ours, stock = (torch.autograd.grad(f(a, other).sum(), a)[0] for f in (row.function, row.original))
        torch.testing.assert_close(ours, stock)
    z = torch.randn(3, 4, dtype=torch.complex128, requires_grad=True)
    ours, stock = (torch.autograd.grad(f(z, b).abs().sum(), (z, b)) for f in (row.function, row.original))
    torch.testing.assert_close(ours, stock)


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_gradcheck(name):
    """On a whole tensor, on a view of one, and on the base of a view; the operand is differentiated, too."""
    overload = OVERLOADS[name]
    positional, keywords = arguments(overload, (3, 4), torch.float64)
    tensors = [value.requires_grad_() for value in positional[1:] if isinstance(value, torch.Tensor)]
    rest = [value for value in positional[1:] if not isinstance(value, torch.Tensor)]
    x = numbers(3, 4)
    if "mode" in name:
        y = x.clone()
        assert not torch.autograd.grad(overload(y, *tensors, *rest, **keywords).sum(), x)[0].any()
        return

    def whole(x, *other):
        return overload(x.clone(), *other, *rest, **keywords)

    def on_view(x, *other):
        base = x.repeat(2, 1)
        overload(base[1:4], *other, *rest, **keywords)
        return base

    def on_base(x, *other):
        base = x.clone()
        view = base[:, 1:]
        overload(base, *other, *rest, **keywords)
        return view * 2

    for function in (whole, on_view, on_base):
        assert gradcheck(function, (x, *tensors), check_forward_ad=True)
    assert gradgradcheck(whole, (x, *tensors))


@pytest.mark.parametrize("name", INPLACE)
def test_inplace_is_refused(name):
    """On a leaf that requires grad, on a view of one, and on an inference tensor outside of inference mode."""
    overload = OVERLOADS[name]
    for change in (lambda x: x.requires_grad_(), lambda x: x.requires_grad_()[1:]):
        positional, keywords = arguments(overload)
        positional[0] = change(positional[0])
        positional[1:] = [v[: len(positional[0])] if isinstance(v, torch.Tensor) else v for v in positional[1:]]
        before = positional[0].detach().clone()
        for function in (overload, twin(name)):
            assert outcome(function, *positional, **keywords).error is RuntimeError
        assert torch.equal(positional[0], before)
    with torch.inference_mode():
        positional, keywords = arguments(overload)
    before = positional[0].clone()
    assert outcome(overload, *positional, **keywords).error is RuntimeError
    assert torch.equal(positional[0], before)
    assert outcome(twin(name), *positional, **keywords).error is RuntimeError  # torch notices after it has written
    with torch.no_grad():  # allowed there, as in torch
        positional, keywords = arguments(overload)
        positional[0].requires_grad_()
        assert overload(*positional, **keywords) is positional[0]


@pytest.mark.parametrize("name", [*INPLACE, *OUT])
def test_version_counter(name):
    """Goes up by exactly one, so that autograd notices; also for a tensor that needs no gradient, and for a view."""
    overload = OVERLOADS[name]
    positional, keywords = arguments(overload)
    target = written(overload, positional, keywords)
    view = target.view(-1)
    before = target._version
    overload(*positional, **keywords)
    assert target._version == view._version == before + 1
    with torch.inference_mode():
        positional, keywords = arguments(overload)
        assert overload(*positional, **keywords).is_inference()


@pytest.mark.parametrize("name", FUNCTIONAL)
def test_functional_operators_leave_inputs_alone(name):
    """Inputs keep values and versions, no result shares memory with one, and the incoming gradient is not written."""
    overload = OVERLOADS[name]
    positional, keywords = arguments(overload, (40, 50))
    before, _ = copied(positional, keywords)
    result = overload(*positional, **keywords)
    for tensor, original in zip(positional, before, strict=True):
        if isinstance(tensor, torch.Tensor):
            assert torch.equal(tensor, original)
            assert tensor._version == 0
            for output in result if isinstance(result, tuple) else (result,):
                assert tensor.untyped_storage().data_ptr() != output.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", NAMES)
def test_backward_leaves_the_gradient_alone(name):
    function, inputs = function_of(name, {}), inputs_of(name, (30, 40))
    result = function(*inputs)
    grad = torch.randn_like(result)
    before = grad.clone()
    saved = [value.detach().clone() for value in (*inputs, result)]
    torch.autograd.grad(result, inputs, grad, retain_graph=True)
    torch.autograd.grad(result, inputs, grad)
    assert torch.equal(grad, before)
    assert all(torch.equal(now, then) for now, then in zip((*inputs, result), saved, strict=True))
    with pytest.raises(RuntimeError, match="second time"):
        if name in ("add", "sub"):  # nothing saved, so nothing freed: as in torch
            raise RuntimeError("second time")
        torch.autograd.grad(result, inputs, grad)


@pytest.mark.parametrize("name", OUT)
def test_differentiable_out_is_refused(name):
    """``out=`` takes part in no graph: RuntimeError when an input or ``out`` requires grad, unless grad mode is off."""
    overload, out = OVERLOADS[name], destination(OVERLOADS[name])
    for which in ("input", "out"):
        positional, keywords = arguments(overload)
        (keywords[out] if which == "out" else positional[0]).requires_grad_()
        before = keywords[out].detach().clone()
        stock = outcome(twin(name), *positional, **keywords).error
        if stock is None:  # relu.out and softmax.out take an input that requires grad
            assert which == "input"
            keywords[out] = before.clone()
            assert outcome(overload, *positional, **keywords).error is None
            continue
        assert outcome(overload, *positional, **keywords).error is stock is RuntimeError
        assert torch.equal(keywords[out], before)
        with torch.no_grad():
            assert overload(*positional, **keywords) is keywords[out]


@pytest.mark.parametrize("victim", ["input", "result"])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("softsign", "l1_loss")])
def test_modified_saved_tensor(name, victim):
    """Overwriting what backward needs is an error, overwriting anything else is not: the same tensors as in torch.

    F.softsign is a chain of Python operators that saves more than it needs; l1_loss saves the difference.
    """
    errors = []
    for kind in ("function", "original"):
        leaves = inputs_of(name, (3, 4))
        inputs = [leaf * 1 for leaf in leaves]
        extra = {"dim": 0} if takes_dim(row_named(name)) else {}
        arguments = loss_arguments(name, *inputs) if row_named(name).family == "loss" else inputs
        result = getattr(row_named(name), kind)(*arguments, **extra)
        with torch.no_grad():
            (inputs[0] if victim == "input" else result).mul_(2)
        errors.append(outcome(torch.autograd.grad, result.sum(), leaves).error)
    assert errors[0] is errors[1]


@pytest.mark.parametrize("name", NAMES)
def test_hooks_and_checkpointing(name):
    """Tensor hooks, hooks on saved tensors, activation checkpointing, and gradients that were not asked for."""
    function = function_of(name, {})
    inputs = inputs_of(name, (3, 4))
    expected = torch.autograd.grad(function(*inputs).sum(), inputs)
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: packed.append(t.clone()) or len(packed) - 1, packed.__getitem__
    ):
        result = function(*inputs)
        result.register_hook(lambda grad: grad * 3)
    torch.testing.assert_close(torch.autograd.grad(result.sum(), inputs), tuple(3 * grad for grad in expected))
    assert bool(packed) == (name not in ("add", "sub"))
    result = checkpoint(function, *inputs, use_reentrant=False)
    torch.testing.assert_close(torch.autograd.grad(result.sum(), inputs), expected)
    frozen = [tensor.detach() for tensor in inputs]
    assert not function(*frozen).requires_grad
    with torch.no_grad():
        assert not function(*inputs).requires_grad
    with torch.inference_mode():
        assert function(*frozen).is_inference()


@pytest.mark.parametrize("name", NAMES)
def test_our_gradient_function_runs(name):
    """The node is ours, and so is what it runs: no silent fallback to ATen's derivative."""
    inputs = inputs_of(name, (5, 6))
    before = {point: counts["taken"] for point, counts in torchext._C.counters().items()}
    result = function_of(name, {})(*inputs)  # which makes the gradient of a reduced loss already
    assert result.grad_fn.name().startswith("Torchext"), result.grad_fn
    torch.autograd.grad(result, inputs, torch.ones_like(result))
    moved = [point for point, counts in torchext._C.counters().items() if counts["taken"] > before.get(point, 0)]
    backward = [point for point in moved if "backward" in point or point in ("mul", "div")]
    assert backward or name in ("add", "sub")


def test_subtraction_gradient_of_an_unrequested_operand():
    """Only what is asked for is computed: one multiplication for the one gradient."""
    a, b = numbers(3, 4), numbers(3, 4)
    before = torchext._C.counters()["mul"]["taken"]
    torch.autograd.grad(torchext.mul(a, b).sum(), a)
    assert torchext._C.counters()["mul"]["taken"] == before + 2  # forward, and one of two products


def test_gradient_penalty():
    """Second derivatives through a small network agree with torch's."""
    results = []
    for library in (torchext, torch.nn.functional):
        torch.manual_seed(1)
        layer = torch.nn.Linear(5, 4).double()
        x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
        y = library.softmax(library.gelu(library.mish(layer(x))), dim=1).square().sum()
        (grad,) = torch.autograd.grad(y, x, create_graph=True)
        results.append(torch.autograd.grad(grad.square().sum(), layer.parameters()))
    torch.testing.assert_close(*results)
