"""cross_entropy and nll_loss: corner cases, derivatives, threads, transforms and modules."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from support import FLOATING, assert_same_bits, outcome, streaming_above, taken
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call, grad, vmap

import torchext

inf, nan = torch.inf, torch.nan
LOSSES = [torchext.cross_entropy, torchext.nll_loss]
STOCK = {"cross_entropy": F.cross_entropy, "nll_loss": F.nll_loss}
SHAPES = [(7,), (1, 1), (5, 7), (128, 128), (300, 50), (3, 5000), (4, 9, 6), (2, 5, 3, 700)]


def problem(shape, dtype=torch.float32, spread=3.0):
    """Logits and one class for each position."""
    classes = shape[0] if len(shape) == 1 else shape[1]
    return (torch.randn(shape) * spread).to(dtype), torch.randint(classes, shape[:1] * (len(shape) > 1) + shape[2:])


def keywords(shape, target):
    """Every combination of reduction, weights, ignored class and smoothing."""
    classes = shape[0] if len(shape) == 1 else shape[1]
    weights = torch.rand(classes) + 0.1
    for reduction, weighted, ignored, smoothing in itertools.product(
        ("mean", "sum", "none"), (False, True), (-100, int(target.flatten()[0])), (0.0, 0.2)
    ):
        yield {
            "reduction": reduction, "weight": weights if weighted else None, "ignore_index": ignored,
            "label_smoothing": smoothing,
        }  # fmt: skip


def run(function, x, target, grad_output=None, **kwargs):
    """Loss and gradient; weights in the dtype of x."""
    x = x.detach().clone().requires_grad_()
    if kwargs.get("weight") is not None:
        kwargs["weight"] = kwargs["weight"].to(x.dtype)
    loss = function(x, target, **kwargs)
    generator = torch.Generator().manual_seed(2)
    grad_output = torch.randn(loss.shape, generator=generator, dtype=torch.float64).to(loss.dtype)
    return loss.detach(), torch.autograd.grad(loss, x, grad_output)[0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_cross_entropy_against_float64(shape, dtype, instruction_set, fast_path):
    """Sums of rows are exact to a rounding, so that the error is that of one row: 8 epsilons of its loss, or of 16."""
    x, target = problem(shape, dtype)
    for kwargs in keywords(shape, target):
        if kwargs["weight"] is not None:
            kwargs["weight"] = kwargs["weight"].to(dtype)
        with fast_path("cross_entropy_loss", "_cross_entropy_backward"):
            loss, gradient = run(torchext.cross_entropy, x, target, **kwargs)
        wide = dict(kwargs, weight=None if kwargs["weight"] is None else kwargs["weight"].double())
        expected, expected_gradient = run(F.cross_entropy, x.double(), target, **wide)
        stock, stock_gradient = run(F.cross_entropy, x, target, **kwargs)
        assert (loss.dtype, loss.shape, loss.stride()) == (stock.dtype, stock.shape, stock.stride())
        assert gradient.stride() == stock_gradient.stride()
        tolerance = torch.finfo(dtype).eps
        expected = expected.to(dtype).double()  # float16 may overflow
        torch.testing.assert_close(loss.double(), expected, rtol=8 * tolerance, atol=16 * tolerance, equal_nan=True)
        # The incoming gradient was rounded to the dtype.
        torch.testing.assert_close(
            gradient.double(), expected_gradient, rtol=16 * tolerance, atol=8 * tolerance, equal_nan=True
        )


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
def test_nll_loss_against_float64(dtype, fast_path):
    for shape in [shape for shape in SHAPES if len(shape) <= 2]:
        x, target = problem(shape, dtype)
        for kwargs in keywords(shape, target):
            if kwargs.pop("label_smoothing"):
                continue
            if kwargs["weight"] is not None:
                kwargs["weight"] = kwargs["weight"].to(dtype)
            with fast_path("nll_loss_nd", "nll_loss_backward"):
                loss, gradient = run(torchext.nll_loss, x, target, **kwargs)
            wide = dict(kwargs, weight=None if kwargs["weight"] is None else kwargs["weight"].double())
            expected, expected_gradient = run(F.nll_loss, x.double(), target, **wide)
            tolerance = 4 * torch.finfo(dtype).eps
            for mine, other in ((loss, expected), (gradient, expected_gradient)):
                torch.testing.assert_close(mine.double(), other, rtol=tolerance, atol=tolerance, equal_nan=True)


def test_large_logits_lose_nothing():
    """A maximum of a thousand is subtracted before anything is rounded."""
    x = torch.randn(50, 40) + 1000
    target = torch.randint(40, (50,))
    loss, gradient = run(torchext.cross_entropy, x, target)
    expected, expected_gradient = run(F.cross_entropy, x.double(), target)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient.double(), expected_gradient, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_special_logits(smoothing, instruction_set):
    rows = [[-inf] * 5, [inf, 1, 1, 1, 1], [nan, 1, 1, 1, 1], [-inf, 1, 1, 1, 1], [3e38] * 5, [0.0] * 5]
    x, target = torch.tensor(rows), torch.tensor([0, 0, 1, 0, 2, 3])
    for ignored in (-100, 0):
        kwargs = {"reduction": "none", "label_smoothing": smoothing, "ignore_index": ignored}
        for mine, stock in zip(
            run(torchext.cross_entropy, x, target, **kwargs), run(F.cross_entropy, x, target, **kwargs), strict=True
        ):
            torch.testing.assert_close(mine, stock, equal_nan=True)


def test_means_of_nothing(fast_path):
    """All rows ignored, weights of zero, an empty batch: nan, and a gradient of nan or 0 as torch."""
    x = torch.randn(4, 3)
    for function in LOSSES:
        stock = STOCK[function.__name__]
        for target, kwargs in (
            (torch.full((4,), -100), {}),
            (torch.full((4,), 1), {"ignore_index": 1}),
            (torch.full((4,), 1), {"weight": torch.zeros(3)}),
        ):
            ours, theirs = run(function, x, target, **kwargs), run(stock, x, target, **kwargs)
            assert ours[0].isnan()
            torch.testing.assert_close(ours, theirs, equal_nan=True)
            assert run(function, x, target, reduction="sum", **kwargs)[0] == 0
        empty = run(function, torch.randn(0, 3), torch.zeros(0, dtype=torch.int64))
        assert empty[0].isnan()
        assert empty[1].shape == (0, 3)
        assert (
            outcome(function, torch.randn(2, 0), torch.zeros(2, dtype=torch.int64)).error
            is outcome(stock, torch.randn(2, 0), torch.zeros(2, dtype=torch.int64)).error
        )


@pytest.mark.parametrize("function", LOSSES)
def test_targets_out_of_bounds(function):
    """IndexError in torch's words; an ignored index may be anything and never indexes the weights."""
    x = torch.randn(600, 5)
    for wrong in (5, -1, 2**40, -(2**62)):
        for weight in (None, torch.rand(5)):
            target = torch.zeros(600, dtype=torch.int64)
            target[555] = wrong
            for leaf in (x, x.clone().requires_grad_()):
                with pytest.raises(IndexError, match=rf"^Target {wrong} is out of bounds\.$"):
                    function(leaf, target, weight)
            expected = STOCK[function.__name__](x, target, weight, ignore_index=wrong)
            torch.testing.assert_close(function(x, target, weight, ignore_index=wrong), expected)
    wide = torch.zeros(2, 30, dtype=torch.int64)
    wide[1, 7] = 9
    with pytest.raises(IndexError, match="Target 9 is out of bounds"):
        function(torch.randn(2, 4, 30), wide)


def test_what_does_not_fit_is_torchs():
    """The same exception class; and class probabilities, other target dtypes and weights have ATen's bits."""
    x, target = problem((6, 4))
    wrong = [
        (x, target[:3], {}), (x, target.view(6, 1), {}), (x, target.int(), {}), (x, target, {"weight": torch.rand(3)}),
        (x, target, {"weight": torch.rand(4).double()}), (x, target, {"label_smoothing": 1.5}),
        (x, target, {"reduction": "median"}), (x.int(), target, {}), (x[0], target[:1], {}), (x[0, 0], target[0], {}),
        (x, target, {"weight": torch.rand(4, requires_grad=True)}), (x, torch.rand(6, 4), {"ignore_index": 2}),
        (x, target.float(), {}), (None, target, {}), (x, None, {}),
    ]  # fmt: skip
    for function in LOSSES:
        for a, b, kwargs in wrong:
            if function is torchext.nll_loss and "label_smoothing" in kwargs:
                continue
            ours, stock = (outcome(f, a, b, **kwargs) for f in (function, STOCK[function.__name__]))
            assert ours.error is stock.error, (function, b, kwargs, ours, stock)
    before = taken("cross_entropy_loss")
    probabilities = torch.rand(6, 4).softmax(1)
    for kwargs in ({}, {"label_smoothing": 0.1}, {"weight": torch.rand(4)}):
        for mine, stock in zip(
            run(torchext.cross_entropy, x, probabilities, **kwargs), run(F.cross_entropy, x, probabilities, **kwargs),
            strict=True,
        ):  # fmt: skip
            assert_same_bits(mine, stock)
    assert taken("cross_entropy_loss") == before


def test_old_arguments():
    x, target = problem((6, 4))
    for function in LOSSES:
        for kwargs in ({"size_average": False}, {"reduce": False}, {"size_average": True, "reduce": True}):
            with pytest.warns(UserWarning, match="deprecated"):
                ours = function(x, target, **kwargs)
            with pytest.warns(UserWarning, match="deprecated"):
                torch.testing.assert_close(ours, STOCK[function.__name__](x, target, **kwargs))


@pytest.mark.parametrize("shape", [(7000, 50), (257, 1025), (3, 100_003), (2, 5, 30_001), (1, 400_000)], ids=str)
def test_same_bits_for_any_number_of_threads(shape):
    for dtype in (torch.float32, torch.bfloat16):
        x, target = problem(shape, dtype)
        for kwargs in keywords(shape, target):
            results = []
            for threads in (1, 2, 3, 4, 8):
                torch.set_num_threads(threads)
                results.append(run(torchext.cross_entropy, x, target, **kwargs))
            for loss, gradient in results[1:]:
                assert_same_bits(loss, results[0][0])
                assert_same_bits(gradient, results[0][1])


def test_rows_and_columns_agree():
    """(N, C) and its transpose as one (1, C, N): the same bits, forward and backward."""
    x, target = problem((333, 77))
    logits, columns = x.requires_grad_(), x.detach().t().contiguous().unsqueeze(0).requires_grad_()
    for factor in (1, 0.25):  # by others, the gradient that forward made rounds once more
        first = torchext.cross_entropy(logits, target, reduction="sum") * factor
        second = torchext.cross_entropy(columns, target.unsqueeze(0), reduction="sum") * factor
        torch.testing.assert_close(first, second, rtol=1e-6, atol=0)
        (of_rows,), (of_columns,) = torch.autograd.grad(first, logits), torch.autograd.grad(second, columns)
        assert torch.equal(of_rows, of_columns[0].t())


def test_streamed_gradient():
    """Beyond the caches the gradient is written around them: the same bits."""
    for shape in ((64, 70), (20, 3000), (9, 1024)):
        x, target = problem(shape)
        for kwargs in keywords(shape, target):
            plain = run(torchext.cross_entropy, x, target, **kwargs)
            with streaming_above(0):
                streamed = run(torchext.cross_entropy, x, target, **kwargs)
            assert torch.equal(plain[1], streamed[1])


@pytest.mark.parametrize("kwargs", [{}, {"label_smoothing": 0.3}, {"ignore_index": 1}, {"reduction": "sum"}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(5, 4), (4,), (3, 4, 2)], ids=str)
def test_cross_entropy_gradcheck(shape, weighted, kwargs, fast_path):
    x, target = problem(shape, torch.float64, 1.0)
    target.flatten()[0] = 0
    weight = torch.rand(4, dtype=torch.float64) + 0.5 if weighted else None
    for reduction in ("none", kwargs.get("reduction", "mean")):
        options = {"weight": weight, **kwargs, "reduction": reduction}

        def function(x, options=options):
            return torchext.cross_entropy(x, target, **options)

        x.requires_grad_()
        with fast_path("_cross_entropy_backward"):
            assert gradcheck(function, (x,), check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(function, (x,))


def test_nll_loss_gradcheck(fast_path):
    x, target = problem((5, 4), torch.float64)
    x.requires_grad_()
    for reduction in ("none", "mean", "sum"):

        def function(x, reduction=reduction):
            return torchext.nll_loss(x, target, torch.arange(1.0, 5.0, dtype=torch.float64), reduction=reduction)

        with fast_path("nll_loss_nd", "nll_loss_backward"):
            assert gradcheck(function, (x,), check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(function, (x,))


@pytest.mark.parametrize("function", LOSSES)
def test_transforms(function):
    stock = STOCK[function.__name__]
    x, target = torch.randn(6, 4), torch.randint(4, (6,))
    torch.testing.assert_close(vmap(function)(x, target), vmap(stock)(x, target))
    torch.testing.assert_close(vmap(grad(function))(x, target), vmap(grad(stock))(x, target))
    torch.testing.assert_close(torch.func.hessian(function)(x, target), torch.func.hessian(stock)(x, target))
    model = torch.nn.Linear(3, 4)
    inputs, parameters = torch.randn(6, 3), dict(model.named_parameters())

    def per_sample(library):
        def loss(parameters, x, target):
            return library(functional_call(model, parameters, (x,)), target)

        return vmap(grad(loss), (None, 0, 0))(parameters, inputs, target)

    torch.testing.assert_close(per_sample(function), per_sample(stock))


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("function", LOSSES)
def test_compile(function, backend, fast_path):
    """One dynamic graph, forward and backward; cross_entropy stays ours in it."""
    torch._dynamo.reset()
    weight = torch.rand(4) + 0.1

    def loss(library, x, target):
        return library(x * 2, target, weight, ignore_index=3) + library(x * 2, target, reduction="sum")

    compiled = torch.compile(lambda x, target: loss(function, x, target), fullgraph=True, dynamic=True, backend=backend)
    points = ("cross_entropy_loss", "_cross_entropy_backward") if function is torchext.cross_entropy else ()
    for rows in (3, 7, 9):
        x, target = problem((rows, 4))
        ours, stock = x.clone().requires_grad_(), x.clone().requires_grad_()
        with fast_path(*points):
            result = compiled(ours, target)
            result.backward()
        expected = loss(STOCK[function.__name__], stock, target)
        expected.backward()
        torch.testing.assert_close(result, expected)
        torch.testing.assert_close(ours.grad, stock.grad)


@pytest.mark.parametrize("function", LOSSES)
def test_autocast(function):
    """In float32, as ATen; the gradient comes back in the dtype of the input."""
    x, target = problem((6, 4), torch.bfloat16)
    results = []
    for library in (function, STOCK[function.__name__]):
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            loss = library(leaf, target, torch.ones(4, dtype=torch.bfloat16))
        loss.backward()
        assert loss.dtype == torch.float32
        assert leaf.grad.dtype == torch.bfloat16
        results.append((loss.detach(), leaf.grad))
    torch.testing.assert_close(*results)


def test_modules():
    x, target = problem((6, 4))
    weight = torch.rand(4)
    for name, kwargs in (
        ("CrossEntropyLoss", {}), ("CrossEntropyLoss", {"weight": weight, "label_smoothing": 0.1, "reduction": "sum"}),
        ("NLLLoss", {}), ("NLLLoss", {"weight": weight, "ignore_index": 2, "reduction": "none"}),
    ):  # fmt: skip
        ours, stock = (getattr(library, name)(**kwargs) for library in (torchext.nn, torch.nn))
        assert isinstance(ours, type(stock))
        assert repr(ours) == repr(stock)
        assert ours.state_dict().keys() == stock.state_dict().keys()
        before = taken("cross_entropy_loss") + taken("nll_loss_nd")
        torch.testing.assert_close(ours(x, target), stock(x, target))
        assert taken("cross_entropy_loss") + taken("nll_loss_nd") > before


def test_layouts(fast_path):
    """Strided logits, targets and weights; a second backward through freed memory is refused."""
    x, target = problem((40, 30))
    plain = x.clone().requires_grad_()
    F.cross_entropy(plain, target).backward()
    for layout in (torch.stack([x, x], 2)[:, :, 0], x.t().contiguous().t()):
        leaf = layout.detach().requires_grad_()
        with fast_path("cross_entropy_loss", "_cross_entropy_backward"):
            loss = torchext.cross_entropy(leaf, torch.stack([target, target], 1)[:, 0], torch.ones(60)[::2])
            gradient = torch.autograd.grad(loss, leaf, retain_graph=True)[0]
        torch.testing.assert_close(gradient, plain.grad)
        loss.backward()
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    expanded = torch.zeros(1, 3).expand(100_000, 3)
    torch.testing.assert_close(
        torchext.cross_entropy(expanded, torch.zeros(100_000, dtype=torch.int64)), torch.tensor(3.0).log()
    )


@pytest.mark.parametrize(
    ("weight", "smoothing"),
    [([0.0, 0.0, 1.0], 0.0), ([0.0, 0.0, 1.0], 0.1), ([0.0, 0.0, 0.0], 0.1), ([1.0, -1.0, 1.0], 0.0)], ids=str,
)  # fmt: skip
def test_mean_over_no_weight(weight, smoothing, fast_path):
    """NaN, as 0 / 0 is, also where label smoothing adds losses of classes that have a weight; or an infinity."""
    x, target = torch.randn(4, 3), torch.tensor([0, 1, 0, 1])
    kwargs = {"weight": torch.tensor(weight), "label_smoothing": smoothing}
    with fast_path("cross_entropy_loss"):
        found = torchext.cross_entropy(x, target, **kwargs)
    torch.testing.assert_close(found, F.cross_entropy(x, target, **kwargs), equal_nan=True)
    assert not found.isfinite()
