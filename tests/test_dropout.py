"""dropout: what is drawn (frequencies, independence, seeds, threads), gradients, corners, transforms."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from support import FLOATING, assert_same_bits, assert_same_form, outcome, taken
from torch import Tensor

import torchext

dtypes = pytest.mark.parametrize("dtype", FLOATING, ids=str)


def kept(n: int, p: float, seed: int) -> Tensor:
    """Which of n elements stay."""
    torch.manual_seed(seed)
    return torchext.dropout(torch.ones(n), p) != 0


def assert_binomial(successes: float, n: int, p: float, label: object = "") -> None:
    """Within 5 standard deviations: one in 1.7 million of fair draws fails, and the seeds are fixed."""
    assert abs(successes - n * p) <= 5 * math.sqrt(n * p * (1 - p)), (label, successes / n, p)


@pytest.mark.parametrize("p", [1e-4, 0.01, 0.1, 0.25, 0.5, 0.9, 0.999])
def test_frequency(p):
    n = 4_000_000
    found = kept(n, p, 1)
    assert_binomial(float(found.sum()), n, 1 - p)
    for period in (2, 4, 16, 64, 1000):  # of each word, lane and counter alike
        counts = found[: n // period * period].view(-1, period).sum(0).double()
        expected = n // period * (1 - p)
        chi_square = float(((counts - expected) ** 2 / (expected * p)).sum())
        assert abs(chi_square - period) <= 6 * math.sqrt(2 * period), (period, chi_square)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_elements_are_independent(p):
    """Pairs at many distances, runs, and the same element of successive calls and seeds."""
    n = 2_000_000
    found = kept(n, p, 2)
    both = (1 - p) ** 2
    for lag in (*range(1, 70), 128, 255, 256, 1024, 4096, 65536):
        # Neighbouring pairs share an element: the variance is at most three times that of free ones.
        together = float((found[lag:] & found[:-lag]).sum())
        assert abs(together - (n - lag) * both) <= 5 * math.sqrt(3 * n * both * (1 - both)), lag
    changes = float((found[1:] != found[:-1]).sum())
    expected = 2 * p * (1 - p)
    assert abs(changes - n * expected) <= 5 * math.sqrt(3 * n * expected)
    patterns = torch.zeros(n // 8, dtype=torch.long)  # chi-square over bytes
    for bit in range(8):
        patterns |= found[bit::8][: n // 8].long() << bit
    ones = torch.tensor([bin(k).count("1") for k in range(256)], dtype=torch.float64)
    expected_counts = n // 8 * (1 - p) ** ones * p ** (8 - ones)
    wanted = expected_counts > 10
    counts = patterns.bincount(minlength=256).double()
    chi_square = float(((counts - expected_counts) ** 2 / expected_counts)[wanted].sum())
    assert abs(chi_square - float(wanted.sum())) <= 6 * math.sqrt(2 * float(wanted.sum()))
    again = torchext.dropout(torch.ones(n), p) != 0
    assert_binomial(float((found & again).sum()), n, both)
    for seed in (3, 4, 1000003):  # torch seeds its generator with 32 bits
        assert_binomial(float((found & kept(n, p, seed)).sum()), n, both, seed)


def test_probability_is_exact():
    """2^32 thresholds: p = k / 2^32 and its neighbours differ by the words that lie between."""
    tiny = kept(1 << 22, 2.0**-34, 4)
    assert tiny.all()
    almost_one = kept(1 << 22, 1 - 2.0**-34, 4)
    assert not almost_one.any()
    low, high = kept(1 << 20, 0.3, 5), kept(1 << 20, 0.300001, 5)
    assert (low | ~high).all()  # a higher probability drops the same elements, and some more


@dtypes
def test_values(dtype, instruction_set, fast_path):
    for shape in ((1,), (63,), (64,), (65,), (3, 1000), (70, 33)):
        x = torch.randn(shape).to(dtype)
        before = x.clone()
        with fast_path("dropout"):
            result = torchext.dropout(x, 0.3)
        assert_same_form(result, F.dropout(x, 0.3))
        assert torch.equal(x, before)
        scaled = (x.float() * torch.tensor(1 / 0.7) if dtype != torch.float64 else x * (1 / 0.7)).to(dtype)
        assert ((result == scaled) | (result == 0)).all()


def test_seed_and_generator():
    torch.manual_seed(11)
    state = torch.get_rng_state()
    first, second = torchext.dropout(torch.ones(1000)), torchext.dropout(torch.ones(1000))
    assert not torch.equal(first, second)
    assert not torch.equal(torch.get_rng_state(), state)
    torch.set_rng_state(state)
    assert torch.equal(torchext.dropout(torch.ones(1000)), first)
    with torch.random.fork_rng():
        torchext.dropout(torch.ones(10))
    assert torch.equal(torchext.dropout(torch.ones(1000)), second)
    # Each call moves the generator by two words, whatever its size; another draw in between changes the next mask.
    states = []
    for n in (1, 100_000):
        torch.manual_seed(12)
        torchext.dropout(torch.ones(n))
        states.append(torch.rand(3))
    assert torch.equal(*states)
    torch.manual_seed(11)
    torch.rand(1)
    assert not torch.equal(torchext.dropout(torch.ones(1000)), first)


def test_threads_and_instruction_sets():
    """The same bits, with and without a graph, in place or not."""
    x = torch.randn(300_007)
    found = []
    for isa in torchext.isa.available():
        with torchext.isa.using(isa):
            for threads in (1, 2, 3):
                torch.set_num_threads(threads)
                for leaf in (x.clone(), x.clone().requires_grad_()):
                    torch.manual_seed(7)
                    found.append(torchext.dropout(leaf, 0.2).detach())
                torch.manual_seed(7)
                found.append(torchext.dropout(x.clone(), 0.2, inplace=True))
    assert all(torch.equal(found[0], other) for other in found)


@dtypes
def test_gradient(dtype, instruction_set, fast_path):
    x = torch.randn(50, 70).to(dtype).requires_grad_()
    grad = torch.randn(50, 70).to(dtype)
    before = grad.clone()
    with fast_path("dropout", "native_dropout_backward"):
        result = torchext.dropout(x, 0.4)
        assert result.grad_fn.name() == "TorchextDropoutBackward"
        (found,) = torch.autograd.grad(result, x, grad, retain_graph=True)
    factor = (result != 0).double() / 0.6
    expected = (grad.double() * factor).to(dtype)
    assert_same_form(found, expected)
    torch.testing.assert_close(found, expected, rtol=torch.finfo(dtype).eps, atol=0)
    assert torch.equal(grad, before)
    torch.autograd.grad(result, x, grad)
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.grad(result, x, grad)


def test_derivatives_of_higher_order():
    x = torch.randn(40, dtype=torch.float64, requires_grad=True)

    def seeded(x):
        torch.manual_seed(3)
        return torchext.dropout(x, 0.5) ** 3

    assert torch.autograd.gradcheck(seeded, x, check_undefined_grad=False)
    assert torch.autograd.gradgradcheck(seeded, x)


def test_in_place():
    x = torch.randn(60, requires_grad=True)
    y = x * 1
    version = y._version
    result = torchext.dropout(y, 0.5, inplace=True)
    assert result is y and y._version == version + 1
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(grad, torch.where(y == 0, 0.0, 2.0))
    base = torch.ones(4, 10, requires_grad=True) * 1
    torchext.dropout(base[1:3], 0.5, inplace=True)
    assert (base[0] == 1).all() and set(base[1:3].unique().tolist()) <= {0.0, 2.0}
    for leaf in (torch.ones(5, requires_grad=True), torch.ones(5, requires_grad=True)[1:]):
        assert outcome(torchext.dropout, leaf, 0.5, inplace=True).error is RuntimeError
    z = torch.randn(60)
    version = z._version
    with torch.no_grad():
        assert torchext.dropout(z, 0.5, inplace=True) is z
    assert z._version == version + 1
    expanded = torch.ones(1, 5).expand(3, 5)
    ours, stock = (outcome(f, expanded, 0.5, inplace=True).error for f in (torchext.dropout, F.dropout))
    assert ours is stock


def test_what_draws_nothing():
    """Evaluation, p = 0 and p = 1: torch's result, the input itself where it is that; the generator stays."""
    x = torch.randn(30)
    x[3] = torch.inf
    state = torch.get_rng_state()
    for arguments in ((0.5, False), (0.0, True), (0.0, False), (1.0, False)):
        assert torchext.dropout(x, *arguments) is x or torchext.dropout(x, *arguments).data_ptr() == x.data_ptr()
    assert_same_bits(torchext.dropout(x, 1.0), F.dropout(x, 1.0))
    assert_same_form(torchext.dropout(torch.ones(0, 3), 0.5), torch.ones(0, 3))
    assert torch.equal(torch.get_rng_state(), state)
    leaf = torch.randn(4, requires_grad=True)
    assert torch.autograd.grad(torchext.dropout(leaf, 1.0).sum(), leaf)[0].eq(0).all()
    assert torchext.dropout(torch.tensor([torch.inf, torch.nan]).repeat(50), 0.5).isnan().sum() > 50  # inf * 0


def test_errors():
    x = torch.ones(4)
    for arguments in (
        (x, -0.1),
        (x, 1.1),
        (x, math.nan),
        (x.int(), 0.5),
        ("text", 0.5),
        (x, "text"),
        (None, 0.5),
        (x, 2, False),
    ):
        ours, stock = outcome(torchext.dropout, *arguments), outcome(F.dropout, *arguments)
        assert ours.error is stock.error is not None, (arguments, ours, stock)
    for operator in ("dropout", "dropout_", "native_dropout"):
        ours, stock = (outcome(getattr(o, operator), x, 1.5, True).error for o in (torch.ops.rusttorch, torch.ops.aten))
        assert ours is stock is RuntimeError
    for dtype in (torch.complex64, torch.bool, torch.int64):
        ours, stock = (outcome(f, x.to(dtype), 0.5) for f in (torchext.dropout, F.dropout))
        assert ours.error is stock.error


LAYOUTS = {
    "transposed": lambda x: x.t(), "stepped": lambda x: x[:, ::2], "expanded": lambda x: x[:1].expand(8, -1),
    "offset": lambda x: x[1:, 1:],
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(layout):
    x = LAYOUTS[layout](torch.rand(8, 12) + 1)
    for leaf in (x, x.detach().requires_grad_()):
        ours, stock = torchext.dropout(leaf, 0.5), F.dropout(leaf, 0.5)
        assert_same_form(ours, stock)
        assert ((ours == 0) | (ours == 2 * x)).all()
        if leaf.requires_grad:
            gradients = [torch.autograd.grad(result.sum(), leaf)[0] for result in (ours, stock)]
            assert torch.equal(gradients[0], torch.where(ours == 0, 0.0, 2.0))
    y = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert_same_form(torchext.dropout(y, 0.5), F.dropout(y, 0.5))


@dtypes
def test_native_dropout(dtype, fast_path):
    x = torch.rand(5, 70).to(dtype) + 1
    for train in (True, None):
        with fast_path("native_dropout", "native_dropout_backward"):
            result, mask = torch.ops.rusttorch.native_dropout(x, 0.25, train)
            gradient = torch.ops.rusttorch.native_dropout_backward(x, mask, 1 / 0.75)
        assert_same_form(mask, torch.ops.aten.native_dropout(x, 0.25, train)[1])
        assert torch.equal(mask, result != 0) and torch.equal(gradient, result)
        torch.testing.assert_close(gradient, torch.ops.aten.native_dropout_backward(x, mask, 1 / 0.75))
    result, mask = torch.ops.rusttorch.native_dropout(x, 0.25, False)
    assert torch.equal(result, x) and mask.all() and mask.dtype == torch.bool


def test_transforms():
    x = torch.ones(6, 50)
    for randomness in ("different", "same"):
        torch.manual_seed(1)
        ours = torch.vmap(lambda t: torchext.dropout(t, 0.5), randomness=randomness)(x)
        torch.manual_seed(1)
        assert torch.equal(ours, torch.vmap(lambda t: F.dropout(t, 0.5), randomness=randomness)(x))
    ours, stock = (outcome(torch.vmap(lambda t, f=f: f(t, 0.5)), x) for f in (torchext.dropout, F.dropout))
    assert ours.error is stock.error is RuntimeError
    gradient = torch.func.grad(lambda t: torchext.dropout(t, 0.5).sum())(x)
    assert set(gradient.unique().tolist()) == {0.0, 2.0}
    compiled = torch.compile(lambda t: torchext.dropout(t, 0.5), backend="aot_eager", fullgraph=True)
    leaf = x.clone().requires_grad_()
    result = compiled(leaf)
    assert torch.equal(torch.autograd.grad(result.sum(), leaf)[0], result)
    assert torchext.dropout(x.to("meta"), 0.5).is_meta
    assert type(torchext.dropout(torch.nn.Parameter(x), 0.5)) is Tensor


def test_checkpoint():
    """The mask is drawn again, the same."""
    from torch.utils.checkpoint import checkpoint

    x = torch.ones(1000, requires_grad=True)
    result = checkpoint(lambda t: torchext.dropout(t, 0.5) * 1, x, use_reentrant=False)
    assert torch.equal(torch.autograd.grad(result.sum(), x)[0], result)


def test_module():
    module, stock = torchext.nn.Dropout(0.3), torch.nn.Dropout(0.3)
    assert isinstance(module, torch.nn.Dropout) and repr(module) == repr(stock)
    x = torch.ones(1000)
    before = taken("dropout")
    assert 500 < int((module(x) != 0).sum()) < 900
    assert taken("dropout") == before + 1
    assert copy.deepcopy(module).eval()(x) is x
    assert torchext.nn.Dropout(0.5, inplace=True)(x) is x


def test_threads_share_the_generator():
    """Calls from several threads take the generator's lock: no two draw the same key."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        masks = list(pool.map(lambda _: torchext.dropout(torch.ones(256), 0.5), range(400)))
    assert len({tuple(mask.tolist()) for mask in masks}) == 400


def test_attention_draws_with_our_kernel():
    """scaled_dot_product_attention composes its dropout in C++: patch() reaches the mask, with torch's numbers or, with
    random=True, our own."""
    query = torch.randn(2, 4, 33, 16, requires_grad=True)
    ones = torch.ones(2, 4, 33, 16)  # a weighted mean of ones is 1 when each weight is kept or dropped, and scaled

    def attend():
        torch.manual_seed(3)
        result = F.scaled_dot_product_attention(query, query, ones, dropout_p=0.25)
        return result, torch.autograd.grad(result.sum(), query)[0]

    stock = attend()
    for random in (False, True):
        with torchext.patched(memory=False, random=random):
            found = attend()
            entries = [entry for entry in torchext.report().entries if entry.name == "aten::bernoulli_.float"]
        assert found[0].std() > 0.01 and abs(found[0].mean() - 1) < 0.1
        same = all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(found, stock, strict=True))
        assert same is not random
        assert {entry.row: entry.calls > 0 for entry in entries} == {"dropout": random, "bernoulli_": not random}
        torchext.reset_report()


@dtypes
def test_masks_of_our_own(dtype):
    """What patch(random=True) draws in C++: 1 with probability p, else 0, in every layout that is dense."""
    with torchext.patched(memory=False, random=True):
        for shape, p in (((1024,), 0.5), ((4095,), 0.9), ((4097,), 0.1), ((3, 100_003), 0.7)):
            x = torch.full(shape, torch.nan, dtype=dtype)
            before = taken("random_mask")
            assert x.bernoulli_(p) is x
            assert taken("random_mask") == before + 1
            assert ((x == 0) | (x == 1)).all()
            assert abs(x.double().mean() - p) <= 6 * math.sqrt(p * (1 - p) / x.numel())
        transposed = torch.empty(70, 50, dtype=dtype).t().bernoulli_(0.5)
        assert 0.4 < transposed.double().mean() < 0.6
        before = taken("random_mask")
        for generator in (torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)):
            again = torch.Generator().set_state(generator.get_state())
            ours = torch.empty(2000).bernoulli_(0.3, generator=generator)
            assert torch.equal(ours, torchext.bernoulli_(torch.empty(2000), 0.3, generator=again))
        assert taken("random_mask") == before
