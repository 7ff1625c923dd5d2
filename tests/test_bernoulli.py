"""bernoulli_: torch's own numbers, and the generator where torch leaves it."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from support import FLOATING, OTHER_DTYPES, outcome, taken, torch_draws_from_twister

import torchext

HERE = torch_draws_from_twister()
needs_twister = pytest.mark.skipif(not HERE, reason="torch draws from a generator of MKL's on this CPU")


def drawn(function, x, p, seed, before=0):
    """The numbers, and the generator's state afterwards; `before`: 32-bit words that somebody has drawn already."""
    generator = torch.Generator().manual_seed(seed)
    if before:
        torch.empty(before).uniform_(generator=generator)
    result = function(x.fill_(7), p, generator=generator)
    return result.clone(), generator.get_state()


def same(x, p, seed=1, before=0):
    ours, stock = (drawn(function, x, p, seed, before) for function in (torchext.bernoulli_, torch.Tensor.bernoulli_))
    assert torch.equal(ours[0], stock[0]) and ours[0].stride() == stock[0].stride()
    assert torch.equal(ours[1], stock[1])


def test_torch_draws_from_its_twister_but_for_cpus_of_intel():
    """Fails where the fast path is lost for another reason."""
    with open("/proc/cpuinfo") as file:
        intel = "GenuineIntel" in file.read()
    assert HERE or intel


@needs_twister
@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_same_numbers(dtype, instruction_set, fast_path):
    for n in (256, 257, 311, 312, 313, 511, 512, 513, 1000, 100_003):
        for before in (0, 1, 2, 16, 623, 624, 625):
            with fast_path("bernoulli_"):
                same(torch.empty(n, dtype=dtype), 0.3, n, before)


@needs_twister
def test_same_numbers_for_any_probability(instruction_set, fast_path):
    ends = (0.0, 1.0, 2.0**-53, 1 - 2.0**-53, 0.5, math.nextafter(0.5, 0), math.nextafter(0.5, 1), 2.0**-60, 1e-300)
    for p in (*ends, 1 / 3, 0.1, 0.9, 2.0**-21, 3 * 2.0**-21, 0.75 + 2.0**-40):
        with fast_path("bernoulli_"):
            same(torch.empty(20_000), p)


@needs_twister
def test_threshold_is_exact(fast_path):
    """A probability that is the very number drawn, and its neighbours: u < p."""
    generator = torch.Generator().manual_seed(5)
    numbers = torch.empty(300, dtype=torch.float64).uniform_(generator=generator)
    for p in numbers[:40].tolist():
        for probability in (p, math.nextafter(p, 0), math.nextafter(p, 1)):
            with fast_path("bernoulli_"):
                found, _ = drawn(torchext.bernoulli_, torch.empty(300), probability, 5)
            assert torch.equal(found, (numbers < probability).float())


@needs_twister
def test_layouts_and_the_default_generator(fast_path):
    for x in (torch.empty(70, 50).t(), torch.empty(2, 3, 8, 9).to(memory_format=torch.channels_last)):
        with fast_path("bernoulli_"):
            same(x, 0.4)
    results = []
    for function in (torchext.bernoulli_, torch.Tensor.bernoulli_):
        torch.manual_seed(9)
        results.append(
            (function(torch.empty(500), 0.5), torch.rand(5), function(torch.empty(500), 0.2), torch.randn(3))
        )
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_is_torchs():
    """Few elements, other dtypes and layouts, probabilities as a tensor, wrong calls."""
    before = taken("bernoulli_")
    for x, p in ((torch.empty(255), 0.5), (torch.empty(0), 0.5), (torch.empty(99, 99)[:, ::2], 0.5),
                 (torch.empty(200), torch.rand(200))):  # fmt: skip
        same(x, p)
    for dtype in OTHER_DTYPES:
        if not dtype.is_complex:
            same(torch.zeros(500, dtype=dtype), 0.5)
    for arguments in ((-0.1,), (1.1,), (math.nan,), ("text",), (None,)):
        ours = outcome(torchext.bernoulli_, torch.empty(100), *arguments)
        assert ours.error is not None and ours.error is outcome(torch.empty(100).bernoulli_, *arguments).error
    assert outcome(torchext.bernoulli_, torch.empty(900), 10**400).error is OverflowError
    complex_ = torch.zeros(500, dtype=torch.complex64)
    assert outcome(torchext.bernoulli_, complex_).error is outcome(complex_.bernoulli_).error is not None
    assert outcome(torchext.bernoulli_, torch.zeros(1).expand(100)).error is RuntimeError
    assert taken("bernoulli_") == before


def test_graph_and_version():
    leaf = torch.ones(1000, requires_grad=True)
    assert outcome(torchext.bernoulli_, leaf).error is outcome(leaf.bernoulli_).error is RuntimeError
    y = leaf * 1
    version = y._version
    torchext.bernoulli_(y, 0.5).sum().backward()
    assert y._version == version + 1 and leaf.grad.eq(0).all()
    assert torchext.bernoulli_(torch.empty(1000, device="meta")).is_meta
    torch.manual_seed(1)
    ours = torch.vmap(lambda t: torchext.bernoulli_(t, 0.5), randomness="different")(torch.empty(4, 1000))
    torch.manual_seed(1)
    assert torch.equal(ours, torch.vmap(lambda t: t.bernoulli_(0.5), randomness="different")(torch.empty(4, 1000)))


@needs_twister
def test_states_that_the_twister_does_not_reach():
    """A generator whose state somebody has made up: torch's kernel."""
    generator = torch.Generator().manual_seed(1)
    state = generator.get_state()
    state[8:12] = torch.tensor([100, 0, 0, 0], dtype=torch.uint8)  # words left, of which next_ knows nothing
    results = []
    for function in (torchext.bernoulli_, torch.Tensor.bernoulli_):
        generator.set_state(state)
        results.append((function(torch.empty(1000), 0.5, generator=generator), generator.get_state()))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_under_a_patch_that_draws_others():
    """torchext.bernoulli_ gives torch's numbers whatever dropout's masks are."""
    torch.manual_seed(6)
    expected = torch.empty(5000).bernoulli_(0.5)
    with torchext.patched(memory=False, random=True):
        torch.manual_seed(6)
        assert torch.equal(torchext.bernoulli_(torch.empty(5000), 0.5), expected)


@needs_twister
def test_dropout_of_a_patched_program(fast_path):
    """The same elements are dropped, forward and backward, as without the patch."""
    x = torch.randn(300, 70, requires_grad=True)

    def run():
        torch.manual_seed(4)
        result = F.dropout(x, 0.1)
        return result.detach(), torch.autograd.grad(result.sum(), x)[0], torch.rand(3)

    stock = run()
    with torchext.patched(memory=False), fast_path("bernoulli_"):
        patched = run()
    assert all(torch.equal(a, b) for a, b in zip(patched, stock, strict=True))


@needs_twister
def test_threads_share_the_generator():
    """Every call has its words for itself: no two masks are alike, and the generator has moved by all of them."""
    torch.manual_seed(2)
    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(lambda _: torchext.bernoulli_(torch.empty(256), 0.5), range(400)))
    assert len({tuple(mask.tolist()) for mask in masks}) == 400
    state = torch.get_rng_state()
    torch.manual_seed(2)
    expected = torch.empty(400 * 256).bernoulli_(0.5).view(400, 256)
    assert torch.equal(state, torch.get_rng_state())
    assert {tuple(mask.tolist()) for mask in masks} == {tuple(mask.tolist()) for mask in expected}
