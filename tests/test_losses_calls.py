"""How losses are called: errors, warnings and weights as in torch, autograd, autocast, compilers, modules."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch
from support import assert_same_bits, outcome, row_named, taken
from test_losses import NAMES, PARAMETERS, data, every_name, every_reduction
from test_package import python, succeeded

import torchext
import torchext.nn


@pytest.mark.parametrize("name", [name for name in NAMES if "cross" not in name])
def test_broadcasting_warns(name):
    """torch's sentence at the line of the call, and ATen's result."""
    row = row_named(name)
    for shapes in (((3, 4), (4,)), ((4,), (3, 1)), ((3, 4), ())):
        x, y = torch.randn(shapes[0]), torch.randn(shapes[1])
        caught, results = [], []
        for function in (row.function, row.original):
            leaf = x.clone().requires_grad_()
            with pytest.warns(UserWarning, match="different to the input size") as warned:
                result = function(leaf, y)
            assert warned[0].filename == __file__
            caught.append(str(warned[0].message))
            results.append((result.detach(), torch.autograd.grad(result, leaf)[0]))
        assert caught[0] == caught[1]
        torch.testing.assert_close(*results)


@every_name
def test_errors(name):
    """The class of torch's exception, and its sentence, for the same mistake."""
    row = row_named(name)
    x, y = data(name, 3, 4)
    wrong = [
        ((x, y), {"reduction": "median"}), ((x, y), {"reduction": None}), ((x, y[:2]), {}), ((x, y[:, :1]), {}),
        ((x.int(), y.int()), {}), ((x, y.double()), {}), ((x, None), {}), ((x, 1.0), {}), ((x,), {}),
        ((x, y.cfloat()), {}),
    ]  # fmt: skip
    if "beta" in inspect.signature(row.function).parameters:
        wrong += [((x, y), {"beta": beta}) for beta in (-1.0, 0.0, 0, 1, 1e-300, 1e300, torch.nan, "text", None)]
    if "delta" in inspect.signature(row.function).parameters:
        wrong += [((x, y), {"delta": delta}) for delta in (-1.0, 0.0, 0, 1, torch.nan, "text", None)]
    if "weight" in inspect.signature(row.function).parameters:
        wrong += [((x, y), {"weight": weight}) for weight in (torch.rand(3, 4), torch.rand(4), torch.rand(5), 2.0)]
    refused = 0
    for args, kwargs in wrong:
        ours, stock = (outcome(function, *args, **kwargs) for function in (row.function, row.original))
        assert ours.error is stock.error, (args, kwargs, ours, stock)
        refused += stock.error is not None
        if stock.error is None:
            assert ours.result.dtype == stock.result.dtype
            torch.testing.assert_close(ours.result, stock.result, equal_nan=True)
    assert refused >= 5


@every_name
def test_target_that_requires_grad(name):
    """ATen's derivative; ours for the input alone."""
    row = row_named(name)
    results = []
    for function in (row.function, row.original):
        torch.manual_seed(3)
        leaves = [t.requires_grad_() for t in data(name, 4, 5, dtype=torch.float64)]
        results.append(torch.autograd.grad(function(*leaves), leaves))
    torch.testing.assert_close(*results)
    leaf = data(name, 4, 5)[0].requires_grad_()
    assert row.function(leaf, leaf.detach().clone()).grad_fn.name().startswith("Torchext")


@every_reduction
@every_name
def test_gradcheck(name, reduction, fast_path):
    x, y = data(name, 4, 5, dtype=torch.float64)
    if name == "binary_cross_entropy":
        x = x * 0.8 + 0.1

    def function(x):
        return row_named(name).function(x, y, reduction=reduction, **PARAMETERS.get(name, {}))

    with fast_path(name, f"{name}_backward"):
        assert torch.autograd.gradcheck(function, x.requires_grad_(), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, x)


@every_name
def test_autocast(name, fast_path):
    """float32, as on ATen's list."""
    row = row_named(name)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        x, y = data(name, 40, dtype=dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16), fast_path(name):
            ours, stock = row.function(x, y), row.original(x, y)
        assert ours.dtype == stock.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(ours, stock)


@every_name
def test_compile(name):
    torch._dynamo.reset()
    x, y = data(name, 30, 7)
    compiled = torch.compile(lambda x, y: row_named(name).function(x, y) * 2, fullgraph=True, backend="aot_eager")
    leaf, plain = x.clone().requires_grad_(), x.clone().requires_grad_()
    before = taken(name), taken(f"{name}_backward")
    compiled(leaf, y).backward()
    assert (taken(name), taken(f"{name}_backward")) == (before[0] + 1, before[1] + 1)
    (row_named(name).original(plain, y) * 2).backward()
    torch.testing.assert_close(leaf.grad, plain.grad)


def test_fork_after_parallel_work():
    """See test_threads.py: a child must not wait for threads that it does not have."""
    code = """
import os, signal
import torch, torchext
torch.set_num_threads(2)
x, y = torch.rand(2_000_000), torch.rand(2_000_000)
calls = {f"{name} {reduction}": lambda f=getattr(torchext, name), r=reduction: f(x, y, reduction=r)
         for name in torchext.functional.losses.__all__ for reduction in ("none", "mean")}
expected = {name: call() for name, call in calls.items()}
child = os.fork()
if child == 0:
    signal.alarm(60)
    results = {name: call() for name, call in calls.items()}
    torch.set_num_threads(1)
    print([name for name in calls if not torch.equal(results[name], expected[name])], flush=True)
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    assert succeeded(python("-c", code)) == "[]\n"


MODULES = {
    "MSELoss": ({}, {"reduction": "sum"}, {"reduction": "none"}),
    "L1Loss": ({}, {"reduction": "sum"}, {"reduction": "none"}),
    "SmoothL1Loss": ({}, {"reduction": "none", "beta": 0.5}, {"beta": 0.0}),
    "HuberLoss": ({}, {"reduction": "sum", "delta": 0.5}),
    "BCELoss": ({}, {"reduction": "none"}, {"weight": torch.tensor([1.0, 2.0, 0.5])}),
    "BCEWithLogitsLoss": (
        {}, {"reduction": "sum"}, {"weight": torch.tensor([1.0, 2.0, 0.5])},
        {"pos_weight": torch.tensor([3.0, 1.0, 1.0])},
    ),
}  # fmt: skip
FUNCTIONS = {
    "MSELoss": "mse_loss", "L1Loss": "l1_loss", "SmoothL1Loss": "smooth_l1_loss", "HuberLoss": "huber_loss",
    "BCELoss": "binary_cross_entropy", "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "number"), [(name, number) for name, variants in MODULES.items() for number in range(len(variants))]
)
def test_modules(name, number):
    """torch's class, arguments, state and results; pickled and copied modules stay ours."""
    kwargs = MODULES[name][number]
    ours, stock = getattr(torchext.nn, name)(**kwargs), getattr(torch.nn, name)(**kwargs)
    assert isinstance(ours, type(stock))
    assert repr(ours) == repr(stock)
    assert inspect.signature(type(ours)) == inspect.signature(type(stock))
    assert list(ours.state_dict()) == list(stock.state_dict())
    stock.load_state_dict(ours.state_dict())
    assert type(ours).__doc__
    x, y = data(FUNCTIONS[name], 5, 3)
    point = "l1_loss" if kwargs.get("beta") == 0 else FUNCTIONS[name]
    before = taken(point)
    result = ours(x, y)
    assert taken(point) == before + 1
    torch.testing.assert_close(result, stock(x, y))
    for copied in (pickle.loads(pickle.dumps(ours)), copy.deepcopy(ours)):
        assert type(copied) is type(ours)
        assert_same_bits(copied(x, y), result)
