"""mm, addmm, bmm, baddbmm, linear and linear_act: PyTorch's own samples, layouts and destinations, errors against
float64, the same bits for any number of threads, derivatives."""

from __future__ import annotations

import pytest
import torch
from support import PRODUCTS, assert_same_form, outcome, row_named, samples, taken
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import torchext

NAMES = [row.name for row in PRODUCTS if "linear" not in row.name and row.name != "matmul"]
LINEAR = ["linear", "linear_act"]
near = {"rtol": 1e-4, "atol": 1e-4}  # sums of hundreds of products of normal numbers
FLOATING = (torch.float32, torch.float64)
ACCELERATED = (*FLOATING, torch.int32, torch.int64)
SIZES = [1, 2, 3, 4, 5, 7, 8, 13, 14, 15, 16, 17, 31, 32, 33, 47, 64, 65]


def error_bound(a: Tensor, b: Tensor, units: float = 8) -> Tensor:
    """``units`` of the last place of the sum of the terms' magnitudes: what a sum in any order keeps to."""
    return units * torch.finfo(a.dtype).eps / 2 * (a.double().abs() @ b.double().abs())


def arguments_of(name: str, a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
    """Those of an operator for the product of two matrices, or of a batch of two."""
    if "bmm" in name:
        a, b = (torch.stack([x, x.flip(0)]) for x in (a, b))
    if "add" not in name:
        return a, b
    return torch.randn(b.shape[-1], dtype=a.dtype), a, b


@pytest.mark.parametrize("dtype", [*ACCELERATED, torch.bfloat16, torch.int8, torch.complex64], ids=str)
@pytest.mark.parametrize("name", [*NAMES, *LINEAR, "matmul"])
def test_sample_inputs(name, dtype, instruction_set):
    row = row_named(name)
    before = taken(name)
    for sample in samples(row, dtype):
        ours, stock = (outcome(f, *sample.args, **sample.kwargs) for f in (row.function, row.original))
        assert ours.error is stock.error, (sample, ours, stock)
        if stock.error is None:
            assert_same_form(ours.result, stock.result, sample)
            # Of ten products up to 81, each rounded: 10 * 81 * 2^-25 is 2.4e-5.
            wide = {"rtol": 1.3e-6, "atol": 3e-5} if dtype == torch.float32 else {}
            torch.testing.assert_close(ours.result, stock.result, equal_nan=True, **wide)
    if dtype not in (torch.bfloat16, torch.int8):  # by way of a wider dtype, where that pays: test_widening.py
        is_ours = dtype in (FLOATING if name == "linear_act" else ACCELERATED)
        assert (taken(name) > before) == is_ours


@pytest.mark.parametrize("name", NAMES)
def test_wrong_arguments_raise_what_torch_raises(name):
    row = row_named(name)
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    good = arguments_of(name, a, b)
    wrong = [
        (*good[:-1], good[-1][..., 1:, :]),
        (*good[:-1], good[-1].double()),
        (*good[:-1], good[-1][0]),
        (*good[:-2], good[-2][..., None], good[-1]),
    ]
    if "add" in name:
        wrong.append((torch.randn(7), *good[1:]))
    for arguments in wrong:
        ours, stock = (outcome(f, *arguments) for f in (row.function, row.original))
        assert ours.error is stock.error is not None, (arguments, ours, stock)


def in_layout(x: Tensor, layout: str) -> Tensor:
    if layout == "transposed":
        return x.t().contiguous().t()
    if layout == "strided":
        return x.repeat_interleave(2, 0).repeat_interleave(3, 1)[::2, ::3]
    if layout == "unaligned":
        return torch.cat([x.new_zeros(1), x.flatten()])[1:].view_as(x)
    return x


LAYOUTS = ("contiguous", "transposed", "strided", "unaligned")


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("layout_b", LAYOUTS)
@pytest.mark.parametrize("layout_a", LAYOUTS)
def test_layouts_and_sizes(layout_a, layout_b, dtype, instruction_set, fast_path):
    """All layouts give the same bits, within the bound; long inner dimensions included."""
    with fast_path("mm"):
        for n, k, m in [
            *((s, s, s) for s in SIZES),
            (1, 65, 300),
            (300, 65, 1),
            (3, 1100, 40),
            (40, 600, 2),
            (200, 70, 90),
        ]:
            torch.manual_seed(n + k)
            a, b = torch.randn(n, k, dtype=dtype), torch.randn(k, m, dtype=dtype)
            result = torchext.mm(in_layout(a, layout_a), in_layout(b, layout_b))
            assert result.is_contiguous()
            assert bool(((result.double() - a.double() @ b.double()).abs() <= error_bound(a, b)).all()), (n, k, m)
            if min(n, m) > 4:  # few rows or columns may take dot products
                assert torch.equal(result, torchext.mm(a, b))


@pytest.mark.parametrize("dtype", [*FLOATING, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("rows, columns", [(63, 200), (64, 128), (131, 129), (300, 600)])
def test_rows_in_one_cache_set(rows, columns, dtype, instruction_set, fast_path):
    """Rows of a that are a multiple of 4 KiB apart are packed: the bits of rows that are a little further apart."""
    k = 4096 // dtype.itemsize
    if dtype.is_floating_point:
        wide, b = torch.randn(rows, k + 8, dtype=dtype), torch.randn(k, columns, dtype=dtype)
    else:
        wide, b = (torch.randint(-(2**31), 2**31, size, dtype=dtype) for size in ((rows, k + 8), (k, columns)))
    a = wide[:, :k]
    with fast_path("mm"):
        results = [torchext.mm(x, b) for x in (a, a.contiguous(), a.t().contiguous().t())]
    assert all(torch.equal(result, results[0]) for result in results)
    if not dtype.is_floating_point:  # the sum wraps
        assert torch.equal(results[0], torch.from_numpy(a.numpy() @ b.numpy()))


def test_errors_stay_near_torchs():
    a, b = torch.randn(64, 4096), torch.randn(4096, 64)
    exact, magnitude = a.double() @ b.double(), a.double().abs() @ b.double().abs()
    ours, stock = (((f(a, b).double() - exact).abs() / magnitude) for f in (torchext.mm, torch.mm))
    assert float(ours.max()) <= 8 * 2**-24
    assert float(ours.mean()) <= 2 * float(stock.mean())  # 1.5: its blocks of the inner dimension are shorter


def test_operands_may_be_expanded_or_huge():
    row, column = torch.randn(40), torch.randn(50, 1)
    a, b = row.expand(30, 40), column.expand(50, 20)[:40]
    torch.testing.assert_close(torchext.mm(a, b), torch.mm(a.contiguous(), b.contiguous()))
    one = torch.ones(1, 1).expand(1 << 16, (1 << 15) + 1)  # more than 2^31 elements
    result = torchext.mm(one, torch.ones((1 << 15) + 1, 1))
    assert bool((result == (1 << 15) + 1).all())


@pytest.mark.parametrize("name", NAMES)
def test_empty_dimensions(name):
    row = row_named(name)
    for n, k, m in ((0, 3, 2), (3, 0, 2), (3, 2, 0), (0, 0, 0)):
        arguments = arguments_of(name, torch.ones(n, k), torch.ones(k, m))
        ours, stock = row.function(*arguments), row.original(*arguments)
        assert_same_form(ours, stock)
        assert torch.equal(ours, stock)


@pytest.mark.parametrize("special", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("size", [3, 20, 70, 200])
def test_special_values(size, special, instruction_set):
    a, b = torch.randn(size, size), torch.randn(size, size)
    a[1, 2] = special
    ours, stock = torchext.mm(a, b), torch.mm(a, b)
    torch.testing.assert_close(ours, stock, equal_nan=True, rtol=1e-4, atol=1e-4)
    assert torch.equal(ours.isnan(), stock.isnan())


def test_summands_are_not_read_where_beta_is_zero(fast_path):
    a, b = torch.randn(5, 6), torch.randn(6, 7)
    with fast_path("addmm", "baddbmm"):
        assert torch.equal(torchext.addmm(torch.full((7,), float("nan")), a, b, beta=0), torchext.mm(a, b))
        nan = torch.full((1, 5, 7), float("nan"))
        assert torch.equal(torchext.baddbmm(nan, a[None], b[None], beta=0)[0], torchext.mm(a, b))


@pytest.mark.parametrize("shape", [(70,), (1,), (), (60, 1), (1, 70), (60, 70)], ids=str)
def test_summands_broadcast(shape, fast_path):
    a, b, summand = torch.randn(60, 50), torch.randn(50, 70), torch.randn(shape)
    with fast_path("addmm"):
        torch.testing.assert_close(torchext.addmm(summand, a, b), torch.addmm(summand, a, b))
    for beta, alpha in ((2, 1), (1, 0.5)):  # ATen's
        assert torch.equal(
            torchext.addmm(summand, a, b, beta=beta, alpha=alpha), torch.addmm(summand, a, b, beta=beta, alpha=alpha)
        )


DESTINATIONS = {
    "right": lambda n, m: torch.full((n, m), float("nan")),
    "wide": lambda n, m: torch.full((n, m + 3), float("nan"))[:, 1 : m + 1],
    "transposed": lambda n, m: torch.full((m, n), float("nan")).t(),
    "empty": lambda n, m: torch.empty(0),
    "too small": lambda n, m: torch.empty(1, 1),
    "another dtype": lambda n, m: torch.zeros(n, m, dtype=torch.float64),
    "strided": lambda n, m: torch.zeros(n, 2 * m)[:, ::2],
    "overlapping": lambda n, m: torch.zeros(1, m).expand(n, m),
}


@pytest.mark.parametrize("size", [(9, 6, 7), (60, 30, 1), (1, 30, 50), (200, 300, 100)], ids=str)
@pytest.mark.parametrize("case", DESTINATIONS)
def test_destinations(case, size):
    n, k, m = size
    a, b = torch.randn(n, k), torch.randn(k, m)
    ours, stock = (DESTINATIONS[case](n, m) for _ in range(2))
    mine, theirs = outcome(torchext.mm, a, b, out=ours), outcome(torch.mm, a, b, out=stock)
    assert mine.error is theirs.error
    if mine.error is None:
        assert mine.result is ours
        assert_same_form(ours, stock)
        torch.testing.assert_close(ours, stock, **near)


def test_destinations_that_are_operands():
    for name in ("mm", "addmm"):
        row, results = row_named(name), []
        for function in (row.function, row.original):
            torch.manual_seed(1)
            a, b = torch.randn(8, 8), torch.randn(8, 8)
            positional = (a, b) if name == "mm" else (a, b, b.t())
            results.append(outcome(function, *positional, out=a))
        ours, stock = results
        assert ours.error is stock.error
        if stock.error is None:
            torch.testing.assert_close(ours.result, stock.result)


@pytest.mark.parametrize(
    "size", [(70, 200, 90), (300, 1100, 260), (16, 5000, 40), (600, 64, 33), (1, 900, 4000)], ids=str
)
@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_the_same_bits_for_any_number_of_threads(size, dtype):
    n, k, m = size
    for turned in (False, True):
        a = torch.randn(n, k, dtype=dtype)
        b = torch.randn(m, k, dtype=dtype).t() if turned else torch.randn(k, m, dtype=dtype)
        results = []
        for threads in (1, 2, 3, 8):
            torch.set_num_threads(threads)
            results.append(torchext.mm(a, b))
        assert all(torch.equal(result, results[0]) for result in results)


def test_the_same_bits_on_every_instruction_set():
    a, b = torch.randn(50, 700), torch.randn(700, 45)
    results = []
    for isa in torchext.isa.available():
        with torchext.isa.using(isa):
            results.append((torchext.mm(a, b), torchext.mm(a[:1], b.t().contiguous().t()), torchext.mm(a[:3], b)))
    assert all(torch.equal(x, y) for other in results for x, y in zip(other, results[0], strict=True))


@pytest.fixture
def only_ours():
    """No product is left to another library."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("rows", [8, 12, 13, 16, 30, 48, 61, 64, 65])
@pytest.mark.parametrize("dtype", ACCELERATED, ids=str)
def test_few_rows_by_a_contiguous_weight(rows, dtype, instruction_set, fast_path, only_ours):
    """The weight is read as rows and the result turned; the same bits as where it is read by columns."""
    x, w = (torch.randint(-9, 9, size, dtype=dtype) for size in ((rows, 800), (450, 800)))
    if dtype.is_floating_point:
        x, w = torch.randn(rows, 800, dtype=dtype), torch.randn(450, 800, dtype=dtype) / 28
    by_columns = w.t().contiguous()
    with fast_path("mm"):
        found = torchext.mm(x, w.t())
    assert torch.equal(found, torchext.mm(x, by_columns))
    assert torch.equal(found, torchext.mm(x.t().contiguous().t(), w.t()))
    assert torch.equal(found, torchext.mm(x, w.t(), out=torch.empty_like(found)))
    if dtype.is_floating_point:
        bias = torch.randn(450, dtype=dtype)
        assert torch.equal(torchext.linear(x, w, bias), torchext.linear(x, by_columns.t(), bias))
        torch.testing.assert_close(
            torchext.linear_act(x, w, bias, "silu"),
            torch.nn.functional.silu(torchext.linear(x, w, bias)),
            rtol=0,
            atol=1e-6,
        )


@pytest.mark.parametrize("shape", [(48, 30, 20, 25), (2, 200, 210, 190), (300, 3, 4, 5)], ids=str)
def test_batches(shape, fast_path):
    batch, n, k, m = shape
    a, b = torch.randn(batch, n, k), torch.randn(batch, m, k).transpose(1, 2)
    with fast_path("bmm", "baddbmm"):
        torch.testing.assert_close(torchext.bmm(a, b), torch.bmm(a, b), **near)
        torch.testing.assert_close(
            torchext.bmm(a, b[:1].expand(batch, k, m)), torch.bmm(a, b[:1].expand(batch, k, m)), **near
        )
        for summand in (torch.randn(m), torch.randn(batch, n, m), torch.randn(batch, 1, m)):
            torch.testing.assert_close(torchext.baddbmm(summand, a, b), torch.baddbmm(summand, a, b), **near)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    row = row_named(name)
    for turn in (False, True):
        a = torch.randn(3, 4, dtype=torch.float64)
        b = torch.randn(5, 4, dtype=torch.float64).t() if turn else torch.randn(4, 5, dtype=torch.float64)
        inputs = tuple(x.detach().requires_grad_() for x in arguments_of(name, a, b))
        assert gradcheck(row.function, inputs, check_forward_ad=True)
        assert gradgradcheck(row.function, inputs)
        gradients = []
        for function in (row.function, row.original):
            gradients.append(torch.autograd.grad(function(*inputs).square().sum(), inputs))
        for ours, stock in zip(*gradients, strict=True):
            assert_same_form(ours, stock, name)
            torch.testing.assert_close(ours, stock)
    for wanted in range(len(inputs)):
        for index, x in enumerate(inputs):
            x.requires_grad_(index == wanted)
        (gradient,) = torch.autograd.grad(row.function(*inputs).sum(), inputs[wanted])
        (stock_gradient,) = torch.autograd.grad(row.original(*inputs).sum(), inputs[wanted])
        torch.testing.assert_close(gradient, stock_gradient)


@pytest.mark.parametrize("name", NAMES)
def test_autocast_and_vmap(name):
    row = row_named(name)
    arguments = arguments_of(name, torch.randn(6, 6), torch.randn(6, 6))
    with torch.autocast("cpu"):
        ours, stock = row.function(*arguments), row.original(*arguments)
    assert_same_form(ours, stock)
    assert torch.equal(ours, stock)
    stacked = tuple(torch.stack([x, x + 1]) for x in arguments)
    torch.testing.assert_close(torch.vmap(row.function)(*stacked), torch.vmap(row.original)(*stacked))


@pytest.mark.parametrize("name", ["addmm", "baddbmm"])
def test_in_place(name, fast_path):
    """On a tensor that fits, through views, under vmap and grad; torch's errors where it does not fit."""
    a, b, summand = torch.randn(3, 6, 5), torch.randn(3, 5, 7), torch.randn(3, 6, 7)
    if name == "addmm":
        a, b, summand = a[0], b[0], summand[0]
    ours, stock = (getattr(getattr(torch.ops, space), f"{name}_") for space in ("rusttorch", "aten"))
    with fast_path(name):
        for case in (lambda x: x.clone(), lambda x: torch.cat([x, x], -1)[..., :7]):
            mine, theirs = case(summand), case(summand)
            version = mine._version
            assert ours(mine, a, b) is mine
            assert mine._version == version + 1
            torch.testing.assert_close(mine, stock(theirs, a, b))
    for wrong in (summand[..., :3].clone(), summand[..., :1, :].clone(), summand.int(), summand.mT.clone()):
        assert outcome(ours, wrong.clone(), a, b).error is outcome(stock, wrong.clone(), a, b).error is not None
    stacked = [torch.stack([x, x + 1]) for x in (summand, a, b)]
    results = [torch.vmap(lambda x, a, b, f=f: f(x.clone(), a, b))(*stacked) for f in (ours, stock)]
    torch.testing.assert_close(*results)
    gradients = [torch.func.grad(lambda x, f=f: f(x.clone(), a, b).square().sum())(summand) for f in (ours, stock)]
    torch.testing.assert_close(*gradients)


ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu", "tanh", "sigmoid")


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (2, 3, 7), (1, 300), (1000, 64), (90, 700)], ids=str)
def test_linear(shape, with_bias, fast_path):
    x, bias = torch.randn(shape), torch.randn(130) if with_bias else None
    weight = torch.randn(130, shape[-1]) / shape[-1] ** 0.5
    with fast_path("linear", "linear_act"):
        ours = torchext.linear(x, weight, bias)
        assert_same_form(ours, torch.nn.functional.linear(x, weight, bias))
        torch.testing.assert_close(ours, torch.nn.functional.linear(x, weight, bias), rtol=1e-5, atol=1e-5)
        for activation in ACTIVATIONS:
            separately = getattr(torchext, activation.split("_")[0])
            expected = separately(ours, approximate="tanh") if activation == "gelu_tanh" else separately(ours)
            assert torch.equal(torchext.linear_act(x, weight, bias, activation), expected)


def test_linear_act_knows_its_activations():
    with pytest.raises(ValueError, match="one of gelu"):
        torchext.linear_act(torch.ones(2), torch.ones(1, 2), None, "mish")


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4)], ids=str)
def test_gradients_of_linear(shape):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(5, dtype=torch.float64, requires_grad=True)
    for function in (torchext.linear, *(lambda *t, a=a: torchext.linear_act(*t, a) for a in ACTIVATIONS)):
        assert gradcheck(function, (x, weight, bias), check_forward_ad=True)
        assert gradcheck(lambda x, weight, f=function: f(x, weight, None), (x, weight))
    assert gradgradcheck(torchext.linear, (x, weight, bias))
    for name in LINEAR:
        gradients = []
        for f in (row_named(name).function, row_named(name).original):
            gradients.append(torch.autograd.grad(f(x, weight, bias).square().sum(), (x, weight, bias)))
        for ours, stock in zip(*gradients, strict=True):
            assert_same_form(ours, stock)
            torch.testing.assert_close(ours, stock)
