"""The pool across processes: forks, DataLoader workers, exits, the environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils import cpp_extension

from torchext import memory

LARGE = 1 << 18


def run(code: str, seconds: float = 120, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **environment},
    )


class Numbers(torch.utils.data.Dataset):
    """Items large enough to be pooled, and a report on the worker's own pool."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        item = torch.full((LARGE,), float(index)) + 1
        return item, memory.memory_stats()["allocation.all.allocated"]


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_data_loader_workers(context):
    memory.install()
    try:
        held = torch.full((LARGE,), 7.0)
        loader = torch.utils.data.DataLoader(Numbers(), batch_size=2, num_workers=2, multiprocessing_context=context)
        for _ in range(2):
            sums = [batch.sum(1).tolist() for batch, _ in loader]
            assert sums == [[LARGE, 2 * LARGE], [3 * LARGE, 4 * LARGE]]
        assert held.sum() == 7 * LARGE
    finally:
        memory.uninstall()


FORK = """
import os, threading, torch, torchext
{before}
x = torch.full((1 << 18,), 2.0)
torchext.add(x, x)
stop = threading.Event()
def churn():
    while not stop.is_set():
        torchext.add(x, x)  # another thread is in the pool when the process forks
worker = threading.Thread(target=churn)
worker.start()
for _ in range(20):
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # stock operators hang in a forked child with more, as in any process with OpenMP
        torchext.memory.install()
        y = torch.full((1 << 18,), 3.0) + x
        os._exit(0 if y.sum() == 5 * (1 << 18) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
worker.join()
"""


@pytest.mark.parametrize("before", ["", "torchext.memory.install()"], ids=["before use", "after install"])
def test_fork(before):
    result = run(FORK.format(before=before))
    assert result.returncode == 0, result.stderr


EXIT = """
import torch, torchext
torchext.memory.install()
x = torch.full((1 << 18,), 2.0)
y = torchext.relu(x)
{last}
"""


@pytest.mark.parametrize(
    "last",
    [
        "",
        "torchext.memory.uninstall()",
        "import builtins; builtins.kept = [x, y.numpy()]",
        "import threading; threading.Thread(target=lambda: [x + y for _ in range(50)]).start()",
        "import sys; sys.exit(0)",
        "import atexit; atexit.register(lambda: x + y)",
    ],
)
def test_exit_with_live_tensors(last):
    result = run(EXIT.format(last=last))
    assert (result.returncode, result.stderr) == (0, "")


def test_many_exits():
    """Processes that end with live pooled tensors, their threads and all: each with return code 0.

    40 of them; 300 took two minutes and found nothing more.
    """
    code = """
import gc, os, sys, torch, torchext
torchext.memory.install()
x = torch.full((1 << 18,), 2.0)
gc.freeze()  # otherwise each child copies all pages that hold objects
codes = []
for index in range(40):
    if os.fork() == 0:
        torch.set_num_threads(1)
        y = torch.empty(1 << 18).fill_(index)
        z = torchext.relu(y)
        sys.exit(0)  # through the interpreter's and the libraries' own ways out
    if index % 2:
        codes += [os.wait()[1], os.wait()[1]]
sys.exit(any(codes) or len(codes) != 40)
"""
    result = run(code, seconds=300)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> str:
    """A library with a CPU allocator of its own."""
    include, library = cpp_extension.include_paths()[0], cpp_extension.library_paths()[0]
    result = tmp_path_factory.mktemp("foreign") / "foreign.so"
    source = Path(__file__).with_name("foreign_allocator.cpp")
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-shared", "-fPIC", f"-I{include}", str(source)]
    subprocess.run([*command, f"-L{library}", "-lc10", "-o", str(result)], check=True)
    return str(result)


FOREIGN = """
import ctypes, logging, torch, torchext
logging.basicConfig(format="%(message)s")
library = ctypes.CDLL("{library}")
def try_install():
    try:
        torchext.memory.install()
    except RuntimeError as error:
        return str(error)
"""


@pytest.mark.parametrize(
    ("code", "output", "warns"),
    [
        # Found in place: reported, and it goes on serving what is not pooled.
        ("library.foreign_set(0); try_install(); x = torch.empty(1 << 18); print(library.foreign_allocations());"
         "y = torch.empty(10); print(library.foreign_allocations())", "0\n1", True),
        # With a higher priority: it stays, and we say so.
        ("library.foreign_set(1); print(try_install(), torchext.memory.is_installed());"
         "print(torchext.memory.memory_allocated(), torch.ones(1 << 18).sum().item())",
         "install(): expected to replace torch's CPU allocator, but another library has registered a CPU allocator "
         "with a higher priority False\n0 262144.0", False),
        # Set after ours: ours is not put on top again, where the two might call each other for ever.
        ("try_install(); x = torch.ones(1 << 18); library.foreign_set(0); print(try_install());"
         "print(torchext.memory.is_installed(), x.sum().item())",
         "install(): expected to replace torch's CPU allocator, but another library has replaced torchext's allocator "
         "since it was installed\nFalse 262144.0", False),
    ],
    ids=["found", "higher priority", "later"],
)  # fmt: skip
def test_foreign_allocator(foreign, code, output, warns):
    result = run(FOREIGN.format(library=foreign) + "\n".join(map(str.strip, code.split(";"))))
    assert result.stdout.strip() == output, result.stderr
    assert ("found another library's CPU allocator" in result.stderr) == warns


def test_environment():
    show = "import torchext; print(sorted(torchext._C.memory.settings().items()))"
    result = run(show, TORCHEXT_ALLOC_CONF="limit_mb:5,decay_ms:70,huge_pages:false")
    assert result.stdout.strip() == "[('decay_ms', 70), ('huge_pages', False), ('limit_bytes', 5242880)]", result.stderr
    result = run("import torchext", TORCHEXT_ALLOC_CONF="limit_mb:-1")
    assert result.returncode == 1
    assert "ValueError: TORCHEXT_ALLOC_CONF: expected parts of the form limit_mb:<MiB>" in result.stderr
    assert "'limit_mb:-1'" in result.stderr
    before = memory._C.memory.settings()
    for wrong in ("limit_mb:99999999999999", "limit:5", "huge_pages:yes", "decay_ms"):
        with pytest.raises(ValueError, match="TORCHEXT_ALLOC_CONF: expected parts of the form") as error:
            memory._configure(wrong)
        assert repr(wrong) in str(error.value)
    assert memory._C.memory.settings() == before


def test_import_installs_nothing():
    result = run("import torchext; print(torchext.memory.is_installed(), torchext.memory.memory_reserved())")
    assert result.stdout.split() == ["False", "0"]


def test_out_of_memory_gives_back_and_raises_torchs_error():
    """With an address space that is nearly used up by idle blocks, a request that needs them succeeds; one that nothing
    can serve raises torch's own error, and the process goes on."""
    code = """
import resource, torch, torchext
torchext.memory.install()
torchext.memory.set_limit(1 << 40)
x = torch.empty(1 << 20)
with open("/proc/self/statm") as file:
    used = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (600 << 20), resource.RLIM_INFINITY))
torch.empty(400 << 20, dtype=torch.uint8)
torch.empty(560 << 20, dtype=torch.uint8)  # fits only when the idle block is gone
assert torchext.memory.memory_stats()["num_alloc_retries"] == 1
try:
    torch.empty(1 << 30, dtype=torch.uint8)
except RuntimeError as error:
    assert "DefaultCPUAllocator: can't allocate memory: you tried to allocate 1073741824 bytes" in str(error), error
else:
    raise SystemExit("no error")
assert torchext.memory.memory_stats()["num_ooms"] == 1
assert torch.full((1 << 20,), 1.0).sum() == 1 << 20
"""
    result = run(code)
    assert result.returncode == 0, result.stderr
