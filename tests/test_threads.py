"""Threads and processes: loops are split, results do not depend on how, callers may be threads, and a fork goes on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from support import NAMES, ROWS, row_named, streaming_above
from test_package import python, succeeded

import torchext

TASKS = Path("/proc/self/task")


def seconds_by_thread() -> dict[str, float]:
    """CPU time of every thread of this process, to the nanosecond (first number of schedstat)."""
    return {task.name: int((task / "schedstat").read_text().split()[0]) / 1e9 for task in TASKS.iterdir()}


def busiest_two(function) -> tuple[float, float]:
    """Calls until 0.15 s of CPU time were spent; what the busiest and the second busiest thread had of it."""
    function()  # creates the threads
    before = seconds_by_thread()
    give_up = time.monotonic() + 60
    while True:
        for _ in range(10):
            function()
        spent = [seconds - before.get(thread, 0) for thread, seconds in seconds_by_thread().items()]
        if sum(spent) > 0.15 or time.monotonic() > give_up:
            first, second, *_ = sorted([*spent, 0.0], reverse=True)
            return first, second


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="needs a Linux that counts")
@pytest.mark.parametrize("name", NAMES)
def test_loops_are_split(name):
    """Of two threads each does some of the work: at least a tenth of the other's, who takes what a late one has left.

    Compiled without OpenMP, ``at::parallel_for`` would silently be serial.
    """
    row = row_named(name)
    case = row.bench_inputs(1 << 20, torch.float32)[0]

    def call() -> None:
        row.function(*case.args, **case.kwargs)

    first, second = busiest_two(call)
    assert second > first / 10, (first, second)


def test_one_thread_where_the_user_wants_one():
    torch.set_num_threads(1)
    row = row_named("mish")
    case = row.bench_inputs(1 << 20, torch.float32)[0]
    first, second = busiest_two(lambda: row.function(*case.args))
    assert second < first / 10, (first, second)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def forward_and_backward(row, case) -> list[bytes]:
    """The bits of the result and of the gradients."""

    def leaf(value):
        if not isinstance(value, torch.Tensor):
            return value
        return value.detach().clone().requires_grad_(value.is_floating_point())

    args = [leaf(value) for value in case.args]
    if row.family == "loss":  # its target is data
        args[1] = args[1].detach()
    result = row.function(*args, **case.kwargs)
    grad = torch.linspace(-1, 1, result.numel()).reshape(result.shape).to(result.dtype)
    gradients = torch.autograd.grad(
        result, [value for value in args if isinstance(value, torch.Tensor) and value.requires_grad], grad
    )
    return [bits(tensor) for tensor in (result, *gradients)]


@pytest.mark.parametrize("dtype", (torch.float32, torch.float64, torch.bfloat16), ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_same_bits_for_any_number_of_threads(name, dtype, instruction_set):
    """300 001 elements: enough to be split, no boundary falls on a whole vector. Also as if they came from memory."""
    row = row_named(name)
    usual = torchext._C.memory.streaming_threshold()
    for case in row.bench_inputs(300_001, dtype):
        expected = None
        for threads, threshold in ((1, usual), (2, usual), (3, usual), (1, 0), (2, 0)):
            torch.set_num_threads(threads)
            with streaming_above(threshold):
                found = forward_and_backward(row, case)
            expected = expected or found
            assert found == expected, (case.label, threads, threshold)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("shape", [(1, 300_001), (3, 100_003), (100_003, 3), (7, 11, 4001)], ids=str)
def test_same_bits_for_long_rows_and_columns(name, shape):
    """Shapes where the rows are fewer than the threads, or tiny, or the dim is in the middle."""
    function = row_named(name).function
    x = torch.randn(shape)
    for dim in range(len(shape)):
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(bits(function(x, dim)))
        assert results[0] == results[1] == results[2], dim


def test_the_callers_denormal_mode_holds_for_all_threads():
    """The mode belongs to a thread; a worker that computes a chunk has the caller's meanwhile, then its own again."""
    x = torch.full((4_000_000,), 1e-40)
    torchext.mul(x, 0.5)  # the workers exist before the mode changes
    assert torch.set_flush_denormal(True)
    try:
        results = [torchext.mul(x, 0.5) for _ in range(4)]
    finally:
        torch.set_flush_denormal(False)
    assert not any(result.view(torch.int32).any() for result in results)
    assert torchext.mul(x, 0.5).view(torch.int32).all()


def test_concurrent_callers():
    """Eight Python threads call every function, forward and backward, small and split; each gets its own results."""
    jobs = [
        (row, row.bench_inputs(size, dtype)[0])
        for row in ROWS
        for size in (100, 60_000)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    expected = [forward_and_backward(row, case) for row, case in jobs]
    order = torch.arange(len(jobs)).repeat(4)[torch.randperm(4 * len(jobs))].tolist()
    with ThreadPoolExecutor(max_workers=8) as pool:
        found = pool.map(lambda job: forward_and_backward(*jobs[job]), order, timeout=120)
        for job, result in zip(order, found, strict=True):
            assert result == expected[job], jobs[job]


def test_fork_after_parallel_work():
    """GNU OpenMP's threads do not survive a fork: a child that waits for them hangs. Ours computes alone.

    The child compares with one thread only: torch's own loops would hang.
    """
    code = """
import os, signal
import torch, torchext

torch.set_num_threads(2)
x, y = torch.randn(4_000_000), torch.rand(4_000_000) + 0.5
matrix, scratch = x.view(2000, 2000), x.clone()
calls = {
    "mish": lambda: torchext.mish(x),
    "mish_": lambda: torchext.mish(scratch, inplace=True),
    "mish_backward": lambda: torch.ops.rusttorch.mish_backward(y, x),
    "add": lambda: torchext.add(x, y, alpha=2),
    "div by a number": lambda: torchext.div(x, 3.0, rounding_mode="floor"),
    "row": lambda: torchext.mul(matrix, y[:2000]),
    "strided": lambda: torchext.add(matrix, matrix.t()),
    "strided gelu": lambda: torchext.gelu(matrix[:, ::2]),
    "fused_multiply_add": lambda: torchext.fused_multiply_add(x, y, x),
    "softmax of rows": lambda: torchext.softmax(matrix, 1),
    "log_softmax of columns": lambda: torchext.log_softmax(matrix, 0),
    "softmax backward": lambda: torch.ops.rusttorch._softmax_backward_data(matrix, matrix, 0, torch.float32),
}
scratch = x.clone()
expected = {name: call() for name, call in calls.items()}
scratch = x.clone()
child = os.fork()
if child == 0:
    signal.alarm(60)  # kills a child that hangs
    results = {name: call() for name, call in calls.items()}
    torch.set_num_threads(1)
    wrong = [name for name, result in results.items() if not torch.equal(result, expected[name])]
    print(wrong, flush=True)
    os._exit(len(wrong))
assert os.waitpid(child, 0)[1] == 0
assert torch.equal(torchext.mish(x), expected["mish"])  # the parent goes on, too
"""
    assert succeeded(python("-c", code)) == "[]\n"


def test_data_loader_that_forks():
    code = """
import torch, torchext
from torch.utils.data import DataLoader, Dataset

class Squashed(Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return torchext.mish(source)[index::1_000_000]

source = torch.randn(4_000_000)
expected = torchext.mish(source)
loader = DataLoader(Squashed(), batch_size=1, num_workers=2, multiprocessing_context="fork", timeout=100)
for index, batch in enumerate(loader):
    assert torch.equal(batch[0], expected[index::1_000_000])
assert index == 3
"""
    assert succeeded(python("-c", code)) == ""
