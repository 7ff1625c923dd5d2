"""patch() and unpatch(): what is selected, restored, counted, and left alone."""

from __future__ import annotations

import copy
import io
import json
import pickle
import threading

import pytest
import torch
import torch.nn.functional as F
from support import UNDESCRIBED, outcome, samples, torch_draws_from_twister
from support import patch_hits as hits
from torch import nn

import torchext
from torchext import _C, _patch
from torchext._patch import patchable_rows

NAMES = [row.name for row in patchable_rows()]
ROWS = {row.name: row for row in patchable_rows()}


def states(row: str) -> set[str]:
    return {entry.state for entry in torchext.report().entries if entry.row == row}


def test_names():
    assert {"add", "gelu", "softmax", "sum", "mse_loss", "nll_loss", "cross_entropy", "l1_loss", "softsign"} <= set(
        NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_row(name):
    """Under the patch of one row alone its function gives our values and gradients; the counts show that it ran."""
    row = ROWS[name]
    case = row.bench_inputs(256, torch.float32)[0]

    def run():
        torch.manual_seed(0)
        args = [copy.deepcopy(arg) for arg in case.args]
        if row.differentiable:
            args[0].requires_grad_()
        result = row.original(*args, **case.kwargs)
        first = result if isinstance(result, torch.Tensor) else result[0]
        gradient = torch.autograd.grad(first, args[0], torch.ones_like(first))[0] if row.differentiable else first
        return first.detach(), gradient

    stock = run()
    with torchext.patched(only=name, memory=False, random=True):
        assert states(name) == {"on"}
        assert all(states(other) == {"off"} for other in NAMES if other != name)
        patched = run()
        entries = torchext.report().entries
        assert {entry.row for entry in entries if entry.calls} == {name}
        # linear_cross_entropy is worth its chunks from 64 MiB of logits on: test_linear_entropy.py.
        assert name == "linear_cross_entropy" or hits() or (name == "bernoulli_" and not torch_draws_from_twister())
    assert states(name) == {"off"}
    if not row.random:
        for ours, expected in zip(patched, stock, strict=True):
            torch.testing.assert_close(ours, expected)
    for again, expected in zip(run(), stock, strict=True):
        torch.testing.assert_close(again, expected, rtol=0, atol=0)


# Random numbers: test_dropout.py, test_bernoulli.py.
@pytest.mark.parametrize("name", [name for name in NAMES if not ROWS[name].random and name not in UNDESCRIBED])
def test_samples(name):
    """PyTorch's own samples: same class of error, same form, close values; all patched at once."""
    row = ROWS[name]
    for sample in samples(row, torch.float32):
        stock = outcome(row.original, *sample.clone().args, **sample.clone().kwargs)
        with torchext.patched(memory=False):
            patched = outcome(row.original, *sample.clone().args, **sample.clone().kwargs)
        assert patched.error is stock.error, sample
        torch.testing.assert_close(
            patched.result, stock.result, equal_nan=True, check_stride=True, rtol=1e-5, atol=2e-5
        )


def wrong_calls():
    x, integers = torch.randn(3, 4), torch.tensor([1, 0])
    yield "shapes", lambda: x + torch.randn(5)
    yield "dtype", lambda: F.gelu(integers)
    yield "dim", lambda: torch.softmax(x, 5)
    yield "dim of sum", lambda: x.sum(7)
    yield "empty max", lambda: torch.empty(0).max()
    yield "empty dim", lambda: torch.empty(3, 0).argmax(1)
    yield "integer division", lambda: torch.div(integers, 0, rounding_mode="floor")
    yield "integer division by a tensor", lambda: integers // torch.tensor([0, 1])
    yield "rounding", lambda: torch.div(x, 2, rounding_mode="ceil")
    yield "alpha", lambda: torch.add(integers, 1, alpha=1.5)
    yield "booleans", lambda: torch.sub(x > 0, x > 0)
    yield "probabilities", lambda: F.binary_cross_entropy(x * 10, x.sigmoid())
    yield "target", lambda: F.cross_entropy(x, torch.tensor([0, 1, 9]))
    yield "negative target", lambda: F.nll_loss(x, torch.tensor([0, -1, 2]))
    yield "target shape", lambda: F.cross_entropy(x, torch.tensor([0, 1]))
    yield "class weights", lambda: F.cross_entropy(x, torch.tensor([0, 1, 2]), weight=torch.ones(3))
    yield "smoothing", lambda: F.cross_entropy(x, torch.tensor([0, 1, 2]), label_smoothing=2.0)
    yield "reduction", lambda: F.l1_loss(x, x, reduction="no")
    yield "broadcast out", lambda: torch.add(x, 1, out=torch.empty(3, 4, dtype=torch.int32))
    yield "overlap", lambda: torch.zeros(1).expand(4).add_(1)
    yield "leaf", lambda: torch.zeros(3, requires_grad=True).mul_(2)
    yield "approximate", lambda: F.gelu(x, approximate="no")
    yield "beta", lambda: F.smooth_l1_loss(x, x, beta=-1.0)
    yield "delta", lambda: F.huber_loss(x, x, delta=0.0)
    yield "type", lambda: F.cross_entropy("text", torch.tensor([0]))
    yield "no argument", lambda: F.cross_entropy(x)
    yield "unknown keyword", lambda: F.l1_loss(x, x, wrong=1)


@pytest.mark.parametrize("call", [pytest.param(call, id=name) for name, call in wrong_calls()])
def test_errors_are_torch_s_word_for_word(call):
    with pytest.raises(Exception) as stock:
        call()
    with torchext.patched(memory=False), pytest.raises(Exception) as patched:
        call()
    assert type(patched.value) is type(stock.value)
    assert str(patched.value).splitlines()[0] == str(stock.value).splitlines()[0]


@pytest.mark.parametrize(
    ("argument", "close"), [("gleu", "gelu"), ("activations", "activation"), ("crossentropy", "cross_entropy")]
)
def test_unknown_names(argument, close):
    for keywords in ({"only": argument}, {"exclude": ["tanh", argument]}):
        with pytest.raises(ValueError, match=f"{argument}.* neither a function nor a family.*did you mean.*{close}"):
            torchext.patch(**keywords)
    assert not torchext.is_patched() and not hits()
    with pytest.raises(ValueError, match=r"'zzzzzz' is neither .*; known: .*gelu"):
        torchext.patch(only="zzzzzz")


def test_selection():
    torchext.patch(only=["activation", "sum"], exclude="relu", memory=False)
    assert states("gelu") == states("sum") == {"on"}
    assert states("relu") == states("add") == {"off"}
    torchext.patch(only="add", memory=False)  # replaces
    assert states("gelu") == {"off"} and states("add") == {"on"}
    torchext.patch(only=(), memory=False)
    assert torchext.is_patched() and not any(entry.state == "on" for entry in torchext.report().entries)


def test_nesting_restores():
    assert not torchext.is_patched()
    with torchext.patched(only="tanh"):
        assert torchext.memory.is_installed()
        with pytest.raises(KeyError), torchext.patched(only="sum", memory=False):
            assert states("tanh") == {"off"} and not torchext.memory.is_installed()
            raise KeyError
        assert states("tanh") == {"on"} and states("sum") == {"off"} and torchext.memory.is_installed()
    assert not torchext.is_patched() and not torchext.memory.is_installed()


def test_allocator_of_the_user_stays():
    torchext.memory.install()
    try:
        with torchext.patched():
            pass
        assert torchext.memory.is_installed()
        torchext.patch()
        torchext.memory.install()
        torchext.unpatch()
        assert torchext.memory.is_installed()
    finally:
        torchext.memory.uninstall()
    torchext.patch()
    torchext.memory.install()  # now it is the user's, too
    torchext.unpatch()
    assert torchext.memory.is_installed()
    torchext.memory.uninstall()


def test_same_objects():
    """Functions stay the objects they were, patched and afterwards, with their signature and documentation."""
    from torch.nn.functional import cross_entropy as earlier

    code, document = F.cross_entropy.__code__, F.cross_entropy.__doc__
    target = torch.tensor([0, 2])
    with torchext.patched(memory=False):
        assert F.cross_entropy is earlier and F.cross_entropy.__doc__ == document
        earlier(torch.randn(2, 3), target)
        assert hits()["torch.nn.functional.cross_entropy"] == 1
    assert F.cross_entropy.__code__ is code
    earlier(torch.randn(2, 3), target)
    assert hits()["torch.nn.functional.cross_entropy"] == 1


class HoldsFunctions(nn.Module):
    """A module that keeps functions of torch as attributes, as many do."""

    def __init__(self):
        super().__init__()
        self.linear, self.activation, self.loss = nn.Linear(4, 3), F.gelu, F.cross_entropy

    def forward(self, x):
        return self.loss(self.activation(self.linear(x)), torch.tensor([0, 2]))


def test_pickle_and_deepcopy():
    model = HoldsFunctions()
    before = pickle.dumps(model)
    with torchext.patched(memory=False):
        assert pickle.dumps(model) == before
        loaded, copied = pickle.loads(before), copy.deepcopy(model)
        buffer = io.BytesIO()
        torch.save(model, buffer)
    x = torch.randn(2, 4)
    assert loaded(x) == copied(x) == model(x)
    assert b"torchext" not in buffer.getvalue()


def test_declined_inputs_have_the_bits_of_stock():
    x = torch.randn(33, 65)
    calls = {
        "complex": lambda: torch.tanh(torch.complex(x, x)),
        "boolean sum": lambda: (x > 0).sum(1),
        "small integers": lambda: x.mul(10).to(torch.int8) * 3,
        "double accumulation": lambda: x.sum(1, dtype=torch.float64),
        "sparse": lambda: (x.relu().to_sparse() * 2).to_dense(),
    }
    expected = {name: call() for name, call in calls.items()}
    with torchext.patched(memory=False):
        for name, call in calls.items():
            assert torch.equal(call(), expected[name]), name
    assert torchext.report().to_json().count('"dtype"') > 0


def test_report():
    torchext.patch(memory=False)
    torch.tanh(torch.ones(3))
    torch.tanh(torch.ones(3, dtype=torch.complex64))
    F.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]))
    report = torchext.report()
    entry = next(entry for entry in report.entries if entry.name == "aten::tanh")
    assert (entry.state, entry.calls, entry.hits, entry.fall_throughs) == ("on", 2, 1, {"dtype": 1})
    assert "aten::tanh" in str(report) and "were not called" in str(report)
    assert json.loads(report.to_json())["patched"] is True
    torchext.reset_report()
    assert not hits()


def test_threads():
    """Eight threads call while another switches 10^4 times: every result is right."""
    x, target = torch.randn(64, 32), torch.randint(32, (64,))
    expected = (torch.tanh(x), F.cross_entropy(x, target))
    wrong: list[object] = []
    done = threading.Event()

    def work():
        while not done.is_set():
            try:
                torch.testing.assert_close(torch.tanh(x), expected[0])
                torch.testing.assert_close(F.cross_entropy(x, target), expected[1])
            except BaseException as error:
                wrong.append(error)
                return

    _C.patch.install()
    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for _ in range(10_000):
        torchext.patch(memory=False)
        torchext.unpatch()
    done.set()
    for worker in workers:
        worker.join()
    assert not wrong
    assert not any(redirect.on for redirect in _patch.redirects().values())
