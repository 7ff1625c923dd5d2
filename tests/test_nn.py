"""The modules of torchext.nn are torch's own, with our kernels in ``forward``."""

from __future__ import annotations

import copy
import inspect
import io
import pickle

import pytest
import torch
from support import Sample, all_taken, assert_matches, assert_same_bits, row_named, takes_dim

import torchext
import torchext.nn

# Arguments that are not the defaults, where torch's module takes any.
ARGUMENTS = {
    "ReLU": ({"inplace": True},),
    "LeakyReLU": ({"negative_slope": 0.25}, {"inplace": True}),
    "ELU": ({"alpha": 0.5}, {"inplace": True}),
    "SELU": ({"inplace": True},),
    "GELU": ({"approximate": "tanh"},),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": ({"beta": 2.0, "threshold": 5.0},),
    "Softsign": (),
    "SiLU": ({"inplace": True},),
    "Mish": ({"inplace": True},),
    "Softmax": ({"dim": 0}, {"dim": -1}),
    "LogSoftmax": ({"dim": 1}, {"dim": 0}),
}
CASES = [
    pytest.param(name, kwargs, id=f"{name}-{kwargs}")
    for name, variants in ARGUMENTS.items()
    for kwargs in ({}, *variants)
]
MODULES = pytest.mark.parametrize(("name", "kwargs"), CASES)


def pair(name: str, kwargs: dict):
    """Our module and torch's."""
    return getattr(torchext.nn, name)(**kwargs), getattr(torch.nn, name)(**kwargs)


def function_of(name: str, kwargs: dict):
    """The row of a module's function, and the call of it for an input."""
    row = row_named({"LeakyReLU": "leaky_relu", "LogSoftmax": "log_softmax"}.get(name, name.lower()))

    def call(x: torch.Tensor) -> torch.Tensor:
        # Without dim torch takes 1 for a matrix.
        return row.function(x, **({"dim": 1} if takes_dim(row) else {}) | kwargs)

    return row, call


def silently(module, x: torch.Tensor) -> torch.Tensor:
    """The result, without the warning about a softmax without ``dim``."""
    if "Softmax" in type(module).__name__ and module.dim is None:
        with pytest.warns(UserWarning, match="Implicit dimension choice"):
            return module(x)
    return module(x)


# Of two arguments: tests/test_losses.py.
LOSSES = {"BCELoss", "BCEWithLogitsLoss", "HuberLoss", "L1Loss", "MSELoss", "SmoothL1Loss"}


# Those of test_entropy.py, test_normalization.py, test_dropout.py and test_matmul.py.
OTHERS = {"CrossEntropyLoss", "NLLLoss", "LayerNorm", "RMSNorm", "Dropout", "Linear", "LinearAct"}


def test_every_module_is_tested():
    assert set(torchext.nn.__all__) == set(ARGUMENTS) | LOSSES | OTHERS
    assert all(getattr(torchext.nn, name).__module__ == "torchext.nn" for name in ARGUMENTS)


@MODULES
def test_is_torchs_module(name, kwargs):
    ours, stock = pair(name, kwargs)
    assert isinstance(ours, type(stock))
    assert issubclass(getattr(torchext.nn, name), getattr(torch.nn, name))
    assert repr(ours) == repr(stock)
    assert inspect.signature(type(ours)) == inspect.signature(type(stock))
    assert ours.state_dict() == stock.state_dict() == {}
    assert list(ours.parameters()) == list(ours.buffers()) == []
    assert {k: v for k, v in vars(ours).items() if k[0] != "_"} == {k: v for k, v in vars(stock).items() if k[0] != "_"}
    assert type(ours).__doc__


@MODULES
def test_copies(name, kwargs):
    """Pickled, saved and deep-copied modules are of our class and compute the same; alone and inside a model."""
    ours, _ = pair(name, kwargs)
    x = torch.randn(3, 5)
    expected = silently(ours, x.clone())
    buffer = io.BytesIO()
    torch.save(torch.nn.Sequential(ours), buffer)
    buffer.seek(0)
    for copied in (
        pickle.loads(pickle.dumps(ours)),
        copy.deepcopy(ours),
        copy.copy(ours),
        torch.load(buffer, weights_only=False)[0],
    ):
        assert type(copied) is type(ours)
        assert copied is not ours
        assert repr(copied) == repr(ours)
        assert_same_bits(silently(copied, x.clone()), expected)


@MODULES
def test_state_dict_is_interchangeable(name, kwargs):
    """A model with our modules loads the weights of the same model with torch's, and the other way round."""
    ours, stock = (torch.nn.Sequential(torch.nn.Linear(4, 4), module) for module in pair(name, kwargs))
    ours.load_state_dict(stock.state_dict(), strict=True)
    assert torch.equal(ours[0].weight, stock[0].weight)
    stock.load_state_dict(ours.state_dict(), strict=True)


@MODULES
def test_output(name, kwargs, instruction_set):
    """Bit for bit the function's, and as close to torch's as the function is (``support.assert_matches`` says why)."""
    row, function = function_of(name, kwargs)
    ours, stock = pair(name, kwargs)
    x = torch.randn(7, 33) * 4
    before = all_taken()
    actual = silently(ours, x.clone())
    assert all_taken() == before + 1, "our kernel did not run"
    assert_same_bits(actual, function(x.clone()))
    arguments = ({"dim": 1} if takes_dim(row) else {}) | kwargs
    arguments.pop("inplace", None)
    assert_matches(row, actual, silently(stock, x.clone()), Sample((x,), arguments))


@MODULES
def test_gradient(name, kwargs):
    """In float64, to 1e-12 of torch's: both use the same formulas, and each rounds a few times. Second order, too."""
    gradients = []
    for module in pair(name, kwargs):
        x = torch.linspace(-4, 4, 36, dtype=torch.float64).reshape(6, 6).requires_grad_()
        y = silently(module, x * 1)  # not a leaf: the module may work in place
        first = torch.autograd.grad(y, x, torch.cos(torch.arange(36.0).double()).reshape(6, 6), create_graph=True)[0]
        second = torch.autograd.grad(first.square().sum(), x)[0] if first.requires_grad else torch.zeros(6, 6)
        gradients.append((first.detach(), second))
    for actual, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inplace", (False, True))
@pytest.mark.parametrize("name", [name for name, variants in ARGUMENTS.items() if {"inplace": True} in variants])
def test_inplace(name, inplace):
    module = getattr(torchext.nn, name)(inplace=inplace)
    x = torch.randn(5, 7)
    original, version = x.clone(), x._version
    result = module(x)
    assert (result is x) == inplace
    assert x._version == version + inplace
    assert torch.equal(x, original) != inplace
    assert_same_bits(result, getattr(torchext.nn, name)()(original))
    if inplace:
        with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
            module(torch.randn(3, requires_grad=True))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5)], ids=str)
@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax"])
def test_softmax_without_dim(name, shape):
    """The dimension that torch would take, with torch's warning at the caller's line."""
    ours, stock = pair(name, {})
    x = torch.randn(shape)
    with pytest.warns(UserWarning, match="Implicit dimension choice") as caught:
        actual = ours(x)
    assert caught[0].filename == __file__ or caught[0].filename.endswith("module.py")
    with pytest.warns(UserWarning, match="Implicit dimension choice") as stock_caught:
        expected = stock(x)
    assert caught[0].filename == stock_caught[0].filename
    torch.testing.assert_close(actual, expected)


def test_modules_in_a_model():
    """Hooks, eval() and changes of the dtype find ordinary modules."""
    modules = [getattr(torchext.nn, name)(**({"dim": 1} if "Softmax" in name else {})) for name in ARGUMENTS]
    model = torch.nn.Sequential(*modules)
    seen = []
    for module in model:
        module.register_forward_hook(lambda module, _, output: seen.append(type(module).__name__))
    assert model.eval().double()(torch.randn(2, 3, dtype=torch.float64)).dtype == torch.float64
    assert seen == list(ARGUMENTS)
