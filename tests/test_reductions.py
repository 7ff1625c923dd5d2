"""sum, mean, var, std, max, min, amax, amin, argmax and argmin: against torch's on PyTorch's own samples, and what ours
promise beyond: the same bits for any number of threads and any stride, first places, bounded errors of sums."""

from __future__ import annotations

import hashlib

import pytest
import torch
from support import (
    FLOATING,
    OTHER_DTYPES,
    REDUCTIONS,
    Sample,
    assert_same_form,
    outcome,
    row_named,
    samples,
    streaming_above,
    taken,
)
from torch import Tensor

import torchext

NAMES = [row.name for row in REDUCTIONS if row.name != "logsumexp"]  # which has tests of its own
SUMS = ("sum", "mean", "var", "std")
EXTREMES = tuple(name for name in NAMES if name not in SUMS)
SEVERAL_DIMS = [name for name in NAMES if name not in ("max", "min", "argmax", "argmin")]


def results(value) -> tuple[Tensor, ...]:
    return tuple(value) if isinstance(value, tuple) else (value,)


def agree(name: str, ours: Tensor, stock: Tensor, sample: Sample) -> None:
    """Extremes are elements: equal. Sums differ by roundings of the sum of magnitudes, most of them torch's."""
    assert_same_form(ours, stock, sample)
    if name in SUMS and ours.dtype.is_floating_point and ours.numel():
        x = sample.args[0].double()
        dtype = torch.float32 if ours.dtype != torch.float64 else torch.float64
        magnitude = float(x.nan_to_num(0, 0, 0).abs().sum() if name in ("sum", "mean") else (x * x).nan_to_num().sum())
        scale = magnitude if name == "sum" else float(stock.double().nan_to_num(0, 0, 0).abs().max()) + magnitude / 1e3
        tolerance = 8 * torch.finfo(dtype).eps * max(scale, 1e-30)
        rounding = torch.finfo(ours.dtype).eps
        torch.testing.assert_close(ours, stock, rtol=rounding, atol=tolerance, equal_nan=True)
    else:
        torch.testing.assert_close(ours, stock, rtol=0, atol=0, equal_nan=True)


def compare(name: str, sample: Sample) -> bool:
    """Same exception class, or the same results; True if our kernel ran."""
    row = row_named(name)
    before = taken(name)
    ours = outcome(row.function, *sample.args, **sample.kwargs)
    accelerated = taken(name) > before
    stock = outcome(row.original, *sample.args, **sample.kwargs)
    assert ours.error is stock.error, (sample, ours, stock)
    if stock.error is None:
        assert type(ours.result) is type(stock.result)
        for mine, expected in zip(results(ours.result), results(stock.result), strict=True):
            agree(name, mine, expected, sample)
    return accelerated


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_sample_inputs(name, dtype, instruction_set, fast_path):
    with fast_path(name):
        for sample in samples(row_named(name), dtype):
            compare(name, sample)


@pytest.mark.parametrize("dtype", (*OTHER_DTYPES, torch.int32, torch.int64), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_other_dtypes_are_torchs(name, dtype):
    for sample in samples(row_named(name), dtype):
        assert not compare(name, sample)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_calls(name):
    x = torch.randn(3, 4)
    wrong = [
        Sample((x, 2), {}), Sample((x, -3), {}), Sample((x, "text"), {}), Sample((x, 1.5), {}), Sample((None,), {}),
        Sample((torch.empty(0, 3), 0), {}), Sample((torch.empty(0),), {}), Sample((x,), {"unknown": 1}), Sample((), {}),
        Sample((torch.ones(()), 1), {}), Sample((x.to_sparse(), 7), {}),
    ]  # fmt: skip
    if name not in ("max", "min", "argmax", "argmin"):
        wrong += [Sample((x, (0, 0)), {}), Sample((x, (0, 5)), {})]
    refused = 0
    for sample in wrong:
        refused += outcome(row_named(name).original, *sample.args, **sample.kwargs).error is not None
        compare(name, sample)
    assert refused >= 5


def layouts() -> dict[str, Tensor]:
    base = torch.randn(6, 8, 10)
    return {
        "contiguous": base, "transposed": base.transpose(0, 2), "permuted": base.permute(1, 2, 0),
        "sliced": base[:, ::2, 1:], "expanded": torch.randn(6, 1, 10).expand(6, 8, 10),
        "channels_last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "unaligned": torch.frombuffer(bytearray(1921), dtype=torch.float32, offset=1).reshape(6, 8, 10),
        "scalar": torch.tensor(3.0), "ones": torch.randn(1, 5, 1),
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_layouts(name, instruction_set, fast_path):
    deviation = name in ("var", "std")
    for label, x in layouts().items():
        if deviation and x.numel() == 1:
            continue  # no degree of freedom: torch's, with its warning
        with fast_path(name):
            for dim in range(-x.dim(), x.dim()):
                if deviation and x.size(dim) == 1:
                    continue
                for keepdim in (False, True):
                    args = (x, dim, True, keepdim) if deviation else (x, dim, keepdim)
                    assert compare(name, Sample(args, {})), label
            assert compare(name, Sample((x,), {})), label


@pytest.mark.parametrize("name", SEVERAL_DIMS)
def test_several_dims(name, fast_path, instruction_set):
    x = torch.randn(3, 4, 5, 6)
    with fast_path(name):
        for dim in ((0, 1), (2, 3), (1, 2), (0, 1, 2, 3), (-1, -2), (3, 2)):
            assert compare(name, Sample((x, dim), {})), dim
        for dim in ((0, 2), (1, 3), (0, 3), (0, 2, 3), (0, 1, 3)):  # a kept dimension lies between
            for y in (x, x.transpose(1, 2), x.contiguous(memory_format=torch.channels_last), torch.randn(40, 3, 70, 9)):
                assert compare(name, Sample((y, dim), {})), dim
                assert compare(name, Sample((y.bfloat16(), dim), {"keepdim": True})), dim
        assert compare(name, Sample((x.permute(2, 0, 3, 1), (0, 2)), {}))  # together in memory
        y = torch.randn(4, 3, 5, 3, 6)  # three runs of reduced dimensions
        assert compare(name, Sample((y, (0, 2, 4)), {})) == (name not in ("var", "std"))


def test_statistics_of_a_batch():
    """Means and variances over all but the channels: float64 results, and large means that cancel."""
    x = torch.randn(16, 5, 12, 11) + 1000
    exact = x.double()
    variance, mean = torchext.var(x, (0, 2, 3), correction=0), torchext.mean(x, (0, 2, 3))
    torch.testing.assert_close(variance.double(), exact.var((0, 2, 3), correction=0), rtol=1e-6, atol=0)
    torch.testing.assert_close(mean.double(), exact.mean((0, 2, 3)), rtol=2.0**-23, atol=0)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "shape",
    [(40, 2), (1000, 3), (1000, 4), (300, 7), (100, 16), (100, 17), (64, 3, 4), (64, 30, 3), (3000, 2), (70000, 3)],
)
def test_tiny_dims(name, shape, instruction_set, fast_path):
    x = torch.randint(-3, 4, shape) + torch.randn(shape) * (torch.rand(shape) > 0.5)  # with ties
    with_nans = x.clone()
    with_nans[torch.rand(shape) > 0.9] = torch.nan
    with fast_path(name):
        for y in (x, with_nans, x.bfloat16(), x.double()):
            for dim in range(len(shape)):
                assert compare(name, Sample((y, dim), {}))


@pytest.mark.parametrize("shape", [(2, 70001), (70001, 2), (30000, 17), (5, 300, 40), (3, 1000, 300)])
@pytest.mark.parametrize("name", NAMES)
def test_sizes_that_are_shared_by_threads(name, shape, fast_path):
    x = torch.randn(shape)
    with fast_path(name):
        for dim in range(len(shape)):
            assert compare(name, Sample((x, dim), {}))
        assert compare(name, Sample((x,), {}))


@pytest.mark.parametrize("shape", [(3, 530_001), (9, 700), (70, 1027)])
@pytest.mark.parametrize("name", NAMES)
def test_inputs_from_memory(name, shape, fast_path):
    """Those are read at several places at once; rows that are long enough, by all threads."""
    x = torch.randint(-3, 4, shape) + torch.randn(shape) * (torch.rand(shape) > 0.5)  # with ties
    with_nans = x.clone()
    with_nans[::2, 400:][torch.rand(x[::2, 400:].shape) > 0.9] = torch.nan
    with fast_path(name), streaming_above(0):
        for y in (x, with_nans, x.bfloat16(), x.double()):
            assert compare(name, Sample((y,), {}))
            assert compare(name, Sample((y, 1), {}))


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize(
    "shape",
    [
        (1000003,),
        (300, 4000),
        (40000, 30),
        (2, 500001),
        (7, 9000, 11),
        (50000, 3),
        (20000, 3, 4),
        (140000, 5),
        (64, 40, 90),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_same_bits_for_any_number_of_threads(name, shape, dtype):
    x = torch.randn(shape, dtype=dtype)
    function = getattr(torchext, name)
    seen: dict[object, set[str]] = {}
    usual = torchext._C.memory.streaming_threshold()
    for threads, threshold in ((1, usual), (2, usual), (3, usual), (4, usual), (8, usual), (1, 0), (3, 0)):
        torch.set_num_threads(threads)
        with streaming_above(threshold):
            for dim in (None, *range(len(shape)), *([(0, 2)] if len(shape) == 3 else [])):
                seen.setdefault(dim, set()).add(digest(function(x) if dim is None else function(x, dim)))
    assert all(len(bits) == 1 for bits in seen.values())


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 9, 16, 30, 100, 128, 129, 1000, 8192, 20000])
def test_same_bits_for_any_stride(name, size, dtype, instruction_set):
    """A row, a column of a matrix, a slice with a step, among few, one of many small matrices."""
    function = getattr(torchext, name)
    x = torch.randn(size, dtype=dtype) + 0.5
    expected = function(x, 0, correction=0) if name in ("var", "std") else function(x, 0)
    for other in (x.unsqueeze(1).repeat(1, 40), x.unsqueeze(1).repeat(1, 3), x.repeat_interleave(2)[::2].unsqueeze(1)):
        actual = function(other, 0, correction=0) if name in ("var", "std") else function(other, 0)
        assert torch.equal(actual, expected.expand(other.size(1)))
    for other in (x.repeat(40, 1), x.reshape(1, size, 1).repeat(40, 1, 1), x.reshape(1, size, 1).repeat(40, 1, 3)):
        actual = function(other, 1, correction=0) if name in ("var", "std") else function(other, 1)
        assert torch.equal(actual, expected.expand(actual.shape))


def test_error_of_large_sums():
    """4 * 2^-24 * sum(|x|), up to 1e8 elements: the same number over and over rounds in one direction only."""
    for value, n in ((0.1, 100_000_000), (1.0 / 3.0, 20_000_001)):
        x = torch.full((n,), value)
        exact = float(x[0].double()) * n
        assert abs(float(torchext.sum(x)) - exact) <= 4 * 2.0**-24 * exact
    x = torch.randn(4_000_000).sort().values  # sorted, and cancelling
    bound = 4 * 2.0**-24 * float(x.double().abs().sum())
    assert abs(float(torchext.sum(x)) - float(x.double().sum())) <= bound


@pytest.mark.parametrize("name", EXTREMES)
def test_nan_ties_and_zeros(name, instruction_set):
    """A NaN wins, the first one; of equal ones the first; rows of infinities; along rows and columns."""
    worst = -torch.inf if "max" in name else torch.inf
    for size in (1, 3, 17, 100, 5000):
        columns = torch.randint(-2, 3, (size, 9)).float()
        columns[:, 1] = worst
        columns[:, 2] = 0.0
        columns[size // 2 :, 2] = -0.0
        columns[size // 3, 3] = torch.nan
        columns[size - 1, 3] = torch.nan
        for x, dim in ((columns, 0), (columns.T.contiguous(), 1), (columns[:, :2].contiguous(), 0)):
            found = row_named(name).function(x, dim)
            expected = row_named(name).original(x, dim)
            for mine, theirs in zip(results(found), results(expected), strict=True):
                torch.testing.assert_close(mine, theirs, rtol=0, atol=0, equal_nan=True)


def test_more_than_2_to_31_elements():
    x = torch.ones(1).expand(2**31 + 8)
    y = torch.tensor([1.0, 2.0]).unsqueeze(1).expand(2, 2**31 + 8)[1:, :3]
    assert float(torchext.sum(y)) == 6.0
    assert x.numel() > 2**31 and torchext.amax(y, 1).tolist() == [2.0]


@pytest.mark.parametrize("name", [name for name in NAMES if "arg" not in name])
def test_gradients(name, instruction_set):
    row = row_named(name)
    for x in (torch.randn(4, 5), torch.randint(0, 3, (4, 5)).float(), torch.randn(3, 4, 5).transpose(0, 2)):
        for args in ((), (0,), (1,)):
            gradients = []
            for function in (row.function, row.original):
                leaf = x.clone().requires_grad_()
                result = results(function(leaf, *args))[0]
                own = name in SUMS or (args and name in ("max", "min")) or x.is_contiguous()
                assert ("Torchext" in result.grad_fn.name()) == bool(function is row.function and own)
                weight = torch.linspace(0.5, 2, result.numel()).reshape(result.shape)
                gradients.append(torch.autograd.grad(result, leaf, weight)[0])
            torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)
            assert gradients[0].stride() == gradients[1].stride()


@pytest.mark.parametrize("dtype", FLOATING, ids=str)
@pytest.mark.parametrize("dim", [None, 0, 1, (0, 2)], ids=str)
def test_gradient_of_mean_is_torchs(dim, dtype):
    """The same bits, of any grad_output, in memory of its own: hooks may change it in place."""
    x = torch.randn(7, 5, 300, dtype=dtype, requires_grad=True)
    size = torch.mean(x, dim).shape
    for grad in (
        torch.randn(size, dtype=dtype),
        torch.ones((), dtype=dtype).expand(size),
        torch.full(size, torch.inf).to(dtype),
    ):
        ours, stock = (torch.autograd.grad(f(x, dim), x, grad)[0] for f in (torchext.mean, torch.mean))
        assert torch.equal(ours, stock) and ours.stride() == stock.stride()
        ours.mul_(2)
        assert torch.equal(ours, stock * 2)


@pytest.mark.parametrize("shape, dim", [((2, 1, 4, 4), 1), ((2, 3, 1, 1), (2, 3)), ((1, 5), 0)])
def test_gradient_of_mean_has_torchs_strides(shape, dim):
    """Dimensions of 1 have strides, too: channels_last, transposed."""
    x = torch.randn(shape, requires_grad=True)
    size = torch.mean(x, dim, keepdim=True).shape
    strides = [torch.ones(size), torch.ones(size[::-1]).permute(*range(len(size) - 1, -1, -1))]
    strides += [torch.ones(size).to(memory_format=torch.channels_last)] if len(size) == 4 else []
    for grad in strides:
        ours, stock = (torch.autograd.grad(f(x, dim, True), x, grad)[0] for f in (torchext.mean, torch.mean))
        assert torch.equal(ours, stock) and ours.stride() == stock.stride()


@pytest.mark.parametrize("name", [name for name in NAMES if "arg" not in name])
def test_gradcheck(name):
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for args in ((), (0,), (1,)):

        def function(t, args=args):
            return results(row_named(name).function(t, *args))[0]

        assert torch.autograd.gradcheck(function, (x,), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (x,))


@pytest.mark.parametrize("name", NAMES)
def test_transforms(name):
    """vmap, jvp and compile reach the same results; subclasses and modes see the call."""
    row = row_named(name)
    x = torch.randn(3, 4, 5)
    for function in (row.function, torch.compile(row.function, fullgraph=True, dynamic=True)):
        for mine, expected in zip(results(function(x, 1)), results(row.original(x, 1)), strict=True):
            torch.testing.assert_close(mine, expected)
    ours, stock = (torch.vmap(lambda t, f=f: results(f(t, 1))[0])(x) for f in (row.function, row.original))
    torch.testing.assert_close(ours, stock)

    class Recording(Tensor):
        pass

    assert isinstance(results(row.function(x.as_subclass(Recording), 1))[0], Recording)
    assert results(row.function(x.to("meta"), 1))[0].is_meta


def test_out_and_other_forms():
    x, y = torch.randn(4, 5), torch.randn(4, 5)
    out = torch.empty(4)
    assert torchext.sum(x, 1, out=out) is out and torch.equal(out, torch.sum(x, 1))
    pair = (torch.empty(4), torch.empty(4, dtype=torch.long))
    assert torchext.max(x, 1, out=pair)[0] is pair[0]
    assert torch.equal(torchext.max(x, y), torch.maximum(x, y)) and torch.equal(
        torchext.min(x, other=y), torch.minimum(x, y)
    )
    assert torch.allclose(torchext.var(x, False), x.var(False)) and torch.allclose(
        torchext.std(x, 1, False), x.std(1, False)
    )
    assert torch.allclose(torchext.var(x, 1, correction=2), x.var(1, correction=2))
    assert torchext.sum(x, dtype=torch.float64).dtype == torch.float64
    assert torchext.sum(x > 0).dtype == torch.int64
    with pytest.warns(UserWarning, match="degrees of freedom"):
        assert torchext.var(torch.ones(1)).isnan()


@pytest.mark.parametrize("scale", [1e19, 1.0, 1e-18, 1e-25])
@pytest.mark.parametrize("name", ["var", "std"])
def test_deviations_beyond_the_squares_of_float32(name, scale):
    """Squares of float32 deviations may leave its range where the result does not."""
    x = torch.randn(64, 300, generator=torch.Generator().manual_seed(1)) * scale
    for dims in (None, 0, 1):
        expected = getattr(torch, name)(x.double(), dims)
        if expected.abs().max() < 3e38 and expected.abs().min() > 1e-37:
            torch.testing.assert_close(getattr(torchext, name)(x, dims), expected.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shape", [(1000,), (2, 40), (300, 3), (3, 3, 3000)], ids=str)
def test_deviations_of_equal_elements(shape, dtype):
    """Never negative, never NaN, with a finite gradient, and as near to zero as torch's."""
    x = torch.full(shape, 0.1, dtype=dtype).requires_grad_()
    for dim in (None, 0, -1):
        for name in ("var", "std"):
            result = getattr(torchext, name)(x, dim)
            assert (result >= 0).all() and (result < 1e-7).all()
            assert torch.autograd.grad(result.sum(), x)[0].isfinite().all()


def test_small_deviations_of_large_elements():
    x = 0.1 + torch.randn(64, 1000, generator=torch.Generator().manual_seed(1)) * 1e-7
    expected = torch.var(x.double(), 1)
    torch.testing.assert_close(torchext.var(x, 1).double(), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", ["var", "std"])
def test_some_results_that_float32_cannot_hold(name, fast_path):
    """Those alone are computed again, in double: one NaN, infinity or pair of equal values slows no other column."""
    x = torch.randn(50, 140, generator=torch.Generator().manual_seed(1))
    x[3, 0], x[4, 1], x[5:7, 2] = torch.nan, torch.inf, torch.tensor([3e38, -3e38])
    x[:, 3], x[:, 4], x[:, 5], x[:, 139] = 0.1, 7 + x[:, 5] * 1e-6, 0, x[:, 6] * 1e-25
    for matrix, dim in ((x, 0), (x.t().contiguous(), 1)):
        for dtype in (torch.float32, torch.bfloat16):
            values = matrix.to(dtype)
            with fast_path(name):
                result = getattr(torchext, name)(values, dim)
            expected = getattr(torch, name)(values.double(), dim).to(dtype)
            torch.testing.assert_close(result, expected, equal_nan=True)
