"""What benchmarks/step_limit.py counts as the work of an operator."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "step_limit", raising=False)
    from step_limit import Recorder

    return Recorder()


@pytest.mark.parametrize(
    ("function", "multiply_adds", "elements"),
    [
        (lambda a, b: a @ b, 4 * 8 * 16, 4 * 8 + 8 * 16 + 4 * 16),
        (lambda a, b: torch.add(a, a), 0, 2 * 32),  # read once
        (lambda a, b: a.add_(1), 0, 2 * 32),
        (lambda a, b: a.zero_(), 0, 32),
        (lambda a, b: torch.nn.functional.embedding(torch.tensor([1]), b), 0, 16),
    ],
    ids=["mm", "add", "add_", "zero_", "embedding"],
)
def test_work(recorder, function, multiply_adds, elements):
    a, b = torch.ones(4, 8), torch.ones(8, 16)
    with recorder:
        function(a, b)
    assert (multiply_adds, 4 * elements) in recorder.calls


def test_views_and_allocations_are_free(recorder):
    x = torch.ones(4, 8)
    with recorder:
        x.t().view(8, 4).expand(2, 8, 4).detach()
        torch.empty_like(x)
    assert not recorder.calls
