"""Fixtures of the Python tests: seeds, two threads, every instruction set, and proof that the fast path ran."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from support import taken

import torchext
from torchext import _C

FastPath = Callable[..., AbstractContextManager[None]]


def pytest_collection_finish() -> None:
    """What collecting made, PyTorch's tables of operators above all, is here to stay: a gc.collect() that skips it
    takes 10 ms instead of 300."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _deterministic() -> Iterator[None]:
    """Same inputs in every run; two threads, so that loops are split even on a large machine."""
    torch.manual_seed(20_261_122)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    _C.use_product_choices([])  # every product is ours, whatever this machine's calibration says
    yield
    torch.set_num_threads(threads)


@pytest.fixture(params=torchext.isa.available())
def instruction_set(request: pytest.FixtureRequest) -> Iterator[str]:
    """Runs the test once per kernel table that this CPU has; ``fast_path`` proves that this table ran."""
    with torchext.isa.using(request.param):
        assert torchext.isa.current() == request.param
        yield request.param


@pytest.fixture
def fast_path() -> FastPath:
    """``with fast_path("gelu"):`` fails unless each decision point chose our kernel, from the table in use."""

    @contextmanager
    def check(*points: str) -> Iterator[None]:
        isa = f"isa:{torchext.isa.current()}"
        before = {point: (taken(point), taken(point, isa)) for point in points}
        yield
        for point, (calls, calls_of_isa) in before.items():
            assert taken(point) > calls, f"{point}: our kernel did not run"
            assert taken(point, isa) - calls_of_isa == taken(point) - calls, f"{point}: another table than {isa} ran"

    return check


@pytest.fixture(autouse=True)
def _unpatched() -> Iterator[None]:
    """Every test starts and ends unpatched, with counts of patched calls of 0."""
    torchext.reset_report()
    yield
    torchext.unpatch()
