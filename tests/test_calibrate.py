"""The choice between torch's products and ours, and the command that measures it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest
import torch
from support import taken

import torchext
from torchext import _C, _calibrate

CLASS = (0, 1, 3, 4, 5)  # float32, NT, 8 to 15 rows, k 16 to 31, 32 to 63 columns


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("operator", ["mm", "addmm", "linear", "linear_act"])
def test_torchs_class(operator):
    """A product of a class that is torch's runs in torch, bit for bit; its neighbours do not."""
    x, w, bias = torch.randn(9, 20), torch.randn(40, 20), torch.randn(40)
    call, expected = {
        "mm": (lambda: torchext.mm(x, w.t()), lambda: torch.mm(x, w.t())),
        "addmm": (lambda: torchext.addmm(bias, x, w.t()), lambda: torch.addmm(bias, x, w.t())),
        "linear": (lambda: torchext.linear(x, w, bias), lambda: torch.nn.functional.linear(x, w, bias)),
        "linear_act": (
            lambda: torchext.linear_act(x, w, bias, "relu"),
            lambda: torch.nn.functional.linear(x, w, bias).relu(),
        ),
    }[operator]
    _C.use_product_choices([CLASS])
    before = taken(operator, "slower")
    assert torch.equal(call(), expected())
    assert taken(operator, "slower") == before + 1
    before = taken(operator)
    _C.use_product_choices([(*CLASS[:2], 4, *CLASS[3:]), (1, *CLASS[1:]), (0, 0, *CLASS[2:])])
    call()
    assert taken(operator) == before + 1


def test_deterministic_algorithms_are_ours():
    x, w = torch.randn(9, 20), torch.randn(40, 20)
    _C.use_product_choices([CLASS])
    before = taken("mm")
    torch.use_deterministic_algorithms(True)
    try:
        torchext.mm(x, w.t())
    finally:
        torch.use_deterministic_algorithms(False)
    assert taken("mm") == before + 1


@pytest.mark.parametrize("wrong", [(2, 0, 0, 0, 0), (0, 3, 0, 0, 0), (0, 0, 13, 0, 0), (0, 0, 0, -1, 0)], ids=str)
def test_unknown_class(wrong):
    before = _C.product_choices()
    with pytest.raises(ValueError, match="no such class of products"):
        _C.use_product_choices([CLASS, wrong])
    assert _C.product_choices() == before


def test_file(caplog):
    """An entry for each machine; what cannot be read is a warning, and the defaults hold."""
    defaults = _C.product_choices()
    assert not _calibrate.load()
    file = _calibrate.path()
    file.parent.mkdir()
    file.write_text(json.dumps({"another machine": [[0, 0, 0, 0, 0]]}))
    assert not _calibrate.load() and _C.product_choices() == defaults
    assert _calibrate.save([CLASS]) == file and sorted(file.parent.iterdir()) == [file]
    assert len(json.loads(file.read_text())) == 2
    assert _calibrate.load() and _C.product_choices() == [list(CLASS)]
    _C.use_product_choices([])
    for text in (
        "{",
        "[1]",
        json.dumps({_calibrate.machine(): [[9, 9, 9, 9, 9]]}),
        json.dumps({_calibrate.machine(): 3}),
    ):
        file.write_text(text)
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="torchext"):
            assert not _calibrate.load()
        assert "products.json is ignored" in caplog.text and "torchext calibrate" in caplog.text
        assert _C.product_choices() == defaults
    assert _calibrate.save([]) == file and json.loads(file.read_text()) == {_calibrate.machine(): []}


def test_measurement(monkeypatch):
    """torch gets the classes where it was faster twice, and the table is as before while nobody has chosen."""
    monkeypatch.setattr(_calibrate, "torch_over_ours", lambda product: 0.5 if product == (1, 2, 0, 1, 0) else 0.96)
    before = _C.product_choices()
    assert _calibrate.calibrate(2, show=False) == [(1, 2, 0, 1, 0)]
    assert _C.product_choices() == before
    monkeypatch.undo()
    assert 0.01 < _calibrate.torch_over_ours((0, 1, 3, 3, 3)) < 100


def test_large_products():
    """Measured by a smaller one of the same shape."""
    assert _calibrate.measurable((0, 1, 12, 12, 12)) == (0, 1, 9, 9, 9)
    assert _calibrate.measurable((1, 2, 12, 0, 3)) == (1, 2, 12, 0, 3)
    assert len(list(_calibrate.classes(13))) == 6 * 13**3


def run(*arguments):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def test_command():
    """It measures, keeps and says what it found; the next process uses it; --reset forgets it."""
    said = run("-m", "torchext", "calibrate", "--sizes", "1", "--show")
    assert _calibrate.machine() in said and f"of {2 * 3} classes" in said and str(_calibrate.path()) in said
    assert _calibrate.machine() in json.loads(_calibrate.path().read_text())
    _calibrate.save([CLASS])
    question = "import torchext; print(torchext._C.product_choices())"
    assert run("-c", question) == f"{[list(CLASS)]}\n"
    run("-m", "torchext", "calibrate", "--reset")
    assert not _calibrate.path().exists()
    _C.use_default_product_choices()
    assert run("-c", question) == f"{_C.product_choices()}\n"


def test_report_names_the_reason():
    x, w = torch.randn(9, 20), torch.randn(40, 20)
    _C.use_product_choices([CLASS])
    torchext.reset_report()
    with torchext.patched(only=["mm"], memory=False):
        torch.mm(x, w.t())
    entry = next(entry for entry in torchext.report().entries if entry.name == "aten::mm")
    assert entry.fall_throughs == {"slower": 1}
