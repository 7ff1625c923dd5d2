"""The pool behind tensors: what is pooled, what survives installing and uninstalling, and what the figures say."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import threading
from collections.abc import Iterator

import pytest
import torch
from support import DTYPES, ROWS, row_named, streaming_above

import torchext
from torchext import memory

LARGE = 1 << 18  # elements of float32: 1 MiB


def live() -> int:
    return memory.memory_stats()["requested_bytes.all.current"]


@pytest.fixture
def installed() -> Iterator[None]:
    memory.install()
    yield
    memory.uninstall()


@pytest.fixture
def no_leak() -> Iterator[None]:
    gc.collect()  # what tests before this one left in cycles, which a collection within this one would free
    before = live()
    yield
    gc.collect()
    assert live() == before


@pytest.mark.parametrize("name", [row.name for row in ROWS if row.family not in ("reduction", "loss")])  # small results
def test_results_are_pooled(name, no_leak):
    row = row_named(name)
    for case in row.bench_inputs(LARGE, torch.float32):
        before = live()
        result = row.function(*case.args, **case.kwargs, **({"reduction": "none"} if row.family == "loss" else {}))
        elements = result.numel() if row.family == "normalization" else LARGE  # a multiple of 50
        assert live() - before == result.untyped_storage().nbytes() == elements * 4
        assert result.data_ptr() % 64 == 0
        del result
        assert live() == before


@pytest.mark.parametrize("name", ["tanh", "relu", "add", "div", "fused_multiply_add"])
def test_results_of_any_layout_are_pooled(name, no_leak):
    """Stepped, expanded and promoted inputs, too."""
    count = {"fused_multiply_add": 3, "add": 2, "div": 2}.get(name, 1)
    function = getattr(torchext, name)
    for x in (torch.ones(512, 1024)[:, ::2], torch.ones(512, 1).expand(512, 512), torch.ones(512, 1024).t()[::2]):
        before = live()
        result = function(*[x] * count)
        assert live() - before == result.untyped_storage().nbytes() == LARGE * 4
        del result
    before = live()
    result = torchext.add(torch.ones(512, 512, dtype=torch.int64), torch.ones(512, 1))
    assert live() - before == LARGE * 4 and result.dtype == torch.float32
    del result


def test_small_results_are_not_pooled():
    before = live()
    result = torchext.relu(torch.ones(100))
    assert live() == before and result.data_ptr() % 64 == 0


def test_nothing_is_pooled_without_install(no_leak):
    before = live()
    x = torch.ones(LARGE) + 1
    assert live() == before and x.sum() == 2 * LARGE


def test_installed_pools_every_tensor(installed, no_leak):
    before = live()
    x = torch.ones(LARGE)
    y = x + x
    assert live() - before == 2 * LARGE * 4
    del x, y


def test_memory_comes_back(installed):
    x = torch.empty(LARGE)
    address = x.data_ptr()
    del x
    segments = memory.memory_stats()["segment.all.allocated"]
    assert torch.empty(LARGE).data_ptr() == address
    assert memory.memory_stats()["segment.all.allocated"] == segments


def test_live_tensors_survive_both_switches(no_leak):
    stock = torch.full((LARGE,), 3.0)
    memory.install()
    memory.install()
    assert memory.is_installed()
    pooled = torch.full((LARGE,), 4.0)
    memory.uninstall()
    assert not memory.is_installed()
    before = live()
    later = torch.full((LARGE,), 5.0)
    assert live() == before
    assert (stock.sum(), pooled.sum(), later.sum()) == (3 * LARGE, 4 * LARGE, 5 * LARGE)
    pooled.resize_(2 * LARGE)  # its storage remembers the allocator it came from
    assert pooled[:LARGE].sum() == 4 * LARGE
    memory.install()
    del pooled, stock, later
    memory.uninstall()


def test_zero_elements(installed, no_leak):
    x = torch.empty(0)
    assert x.data_ptr() == 0 and (x + x).shape == (0,)
    x.resize_(LARGE).fill_(1)
    assert x.sum() == LARGE


@pytest.mark.parametrize("elements", [2**60, 2**46])
def test_impossible_sizes_fail_as_torch_does(elements):
    def message() -> str:
        with pytest.raises(RuntimeError) as caught:
            torch.empty(elements, dtype=torch.uint8)
        return str(caught.value).split("\n")[0]

    stock = message()
    memory.install()
    try:
        assert message() == stock
        assert "you tried to allocate" in stock
    finally:
        memory.uninstall()


def test_negative_size_fails_as_torch_does(installed):
    with pytest.raises(RuntimeError, match="negative dimension"):
        torch.empty(-1)


def test_views_outlive_tensors(installed, no_leak):
    x = torch.arange(LARGE, dtype=torch.float32)
    array = x.numpy()
    view = x[5:]
    del x
    gc.collect()
    torch.full((LARGE,), -1.0)  # would take the block if it were free
    assert array[7] == 7 and view[2] == 7
    del array, view


def test_copies(installed, no_leak):
    x = torch.arange(LARGE, dtype=torch.float32)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), x.clone()):
        assert torch.equal(other, x) and other.data_ptr() != x.data_ptr()
    buffer = io.BytesIO()
    torch.save({"x": x}, buffer)
    buffer.seek(0)
    assert torch.equal(torch.load(buffer)["x"], x)
    del other, buffer


def test_resize_and_share(installed, no_leak):
    x = torch.arange(LARGE, dtype=torch.float32)
    x.resize_(4 * LARGE)
    assert torch.equal(x[:LARGE], torch.arange(LARGE, dtype=torch.float32))
    x = x[:LARGE].clone().share_memory_()
    assert x.is_shared() and x[9] == 9


def test_another_thread_frees(installed, no_leak):
    held: list[torch.Tensor] = [torch.full((LARGE,), float(i)) for i in range(4)]
    worker = threading.Thread(target=held.clear)
    worker.start()
    worker.join()
    made: list[torch.Tensor] = []
    worker = threading.Thread(target=lambda: made.append(torch.full((LARGE,), 2.0)))
    worker.start()
    worker.join()  # the thread that allocated it has ended
    assert made.pop().sum() == 2 * LARGE


def test_training_step_leaves_nothing(installed, no_leak):
    model = torch.nn.Sequential(torch.nn.Linear(512, 512), torchext.nn.GELU(), torch.nn.Linear(512, 512))
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(512, 512)).square().mean().backward()
        optimizer.step()
    del model, optimizer


def test_statistics_have_the_keys_of_cuda(installed):
    x = torch.empty(LARGE + 1)
    stats = memory.memory_stats()
    for what in ("requested_bytes", "allocated_bytes", "reserved_bytes", "allocation", "segment"):
        for figure in ("current", "peak", "allocated", "freed"):
            assert isinstance(stats[f"{what}.all.{figure}"], int)
        current = stats[f"{what}.all.allocated"] - stats[f"{what}.all.freed"]
        assert stats[f"{what}.all.current"] == current <= stats[f"{what}.all.peak"]
    assert memory.memory_allocated() == stats["allocated_bytes.all.current"] >= x.nbytes
    assert memory.memory_allocated() <= memory.memory_reserved() == stats["reserved_bytes.all.current"]
    assert memory.max_memory_allocated("cpu") == stats["allocated_bytes.all.peak"]
    assert memory.max_memory_reserved(torch.device("cpu")) == stats["reserved_bytes.all.peak"]
    del x
    memory.reset_peak_memory_stats()
    assert memory.max_memory_allocated() == memory.memory_allocated()
    summary = memory.memory_summary()
    assert "requested MiB" in summary and "serves every CPU tensor" in summary
    free, total = memory.mem_get_info()
    assert 0 <= free <= total
    with pytest.raises(ValueError, match="expected the CPU"):
        memory.memory_allocated("cuda")


def test_limit_and_empty_cache(installed):
    limit = memory.get_limit()
    assert limit == memory.mem_get_info()[1] // 8
    try:
        memory.set_limit(0)
        torch.empty(LARGE)
        assert memory.memory_reserved() == memory.memory_allocated()
    finally:
        memory.set_limit(limit)
    torch.empty(LARGE)
    assert memory.memory_reserved() > memory.memory_allocated()
    memory.empty_cache()
    assert memory.memory_reserved() == memory.memory_allocated()
    for wrong in (-1, 1 << 64):
        with pytest.raises(ValueError, match="not negative"):
            memory.set_limit(wrong)
    assert memory.get_limit() == limit


def test_profiler_sees_requested_sizes(installed):
    with torch.profiler.profile(profile_memory=True) as profile:
        x = torchext.relu(torch.ones(LARGE))
        del x
    events = [event for event in profile.events() if "relu" in event.name]
    assert max(event.cpu_memory_usage for event in events) == LARGE * 4
    assert min(event.cpu_memory_usage for event in profile.events()) == -LARGE * 4


STREAMED = {
    "flat": lambda dtype: ((3001,), (3001,)),
    "row": lambda dtype: ((5, 9000), (9000,)),
    "column": lambda dtype: ((5, 9000), (5, 1)),
}


@pytest.fixture
def streaming() -> Iterator[None]:
    """Every result is written around the caches, however small."""
    with streaming_above(0):
        yield


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("form", STREAMED)
def test_streamed_arithmetic(form, dtype, streaming):
    """Results that take the other way to memory are the same, for each form of operands and each place of a start."""
    a, b = ((torch.randn(shape) * 50).to(dtype) for shape in STREAMED[form](dtype))
    for name in ("add", "sub", "mul"):
        assert torch.equal(getattr(torchext, name)(a, b), getattr(torch, name)(a, b))
    assert torch.equal(torchext.mul(a, 3), a * 3)
    assert torch.equal(torchext.relu(a), a.relu())
    odd = a.flatten()[1:]
    assert torch.equal(torchext.add(odd, odd), odd + odd)
    same = a.clone()
    torch.ops.rusttorch.add_(same, b)  # in place: not streamed
    assert torch.equal(same, a + b)


def test_streamed_gradients_and_sums(streaming):
    x, y, z = torch.randn(3, 70001, dtype=torch.float64).requires_grad_().unbind()
    for function, stock in ((torchext.relu, torch.relu), (torchext.softsign, torch.nn.functional.softsign)):
        grad, expected = (torch.autograd.grad(f(x).sum(), x)[0] for f in (function, stock))
        torch.testing.assert_close(grad, expected, rtol=1e-14, atol=0)
    torch.testing.assert_close(torchext.fused_multiply_add(x, y, z), torch.addcmul(z, x, y), rtol=1e-12, atol=1e-12)


def test_large_results_are_streamed():
    """The default threshold is the last-level cache: a result just above it is right, too."""
    elements = torchext._C.memory.streaming_threshold() // 8 + 1003
    x = torch.randn(elements)[1:]
    assert torch.equal(torchext.relu(x), x.relu())
