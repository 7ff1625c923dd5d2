"""The package as a guest in somebody's process: what importing costs and changes, which kernels run, how it ends.

Most of it needs a fresh interpreter, which takes some seconds to import torch; one of them answers several questions.
"""

from __future__ import annotations

import doctest
import importlib
import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import torchext
from torchext import _C, _bench_limits

ROOT = Path(torchext.__file__).parents[1]
TABLES = {"avx512", "avx2", "neon", "scalar"}  # every name that some machine knows
LOCAL = set(torchext.isa.available())


def python(*arguments: str, isa: str | None = None) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter that finds this torchext; a hang is a failure."""
    environment = {name: value for name, value in os.environ.items() if name != "TORCHEXT_ISA"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    if isa is not None:
        environment["TORCHEXT_ISA"] = isa
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=300, env=environment, check=False
    )


def succeeded(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 0, (process.returncode, process.stdout, process.stderr)
    assert process.stderr == ""
    return process.stdout


def test_import_is_silent_and_changes_nothing():
    """No output, no warning, no replaced attribute, no kernel of ATen overridden, no setting touched."""
    code = """
import logging, warnings
import torch

def state():
    places = (torch, torch.nn, torch.nn.functional, torch.Tensor, torch.autograd, torch.ops.aten)
    attributes = {(str(place), name): id(value) for place in places for name, value in vars(place).items()}
    operators = ("add.Tensor", "div.Tensor_mode", "relu", "gelu", "mish", "silu_backward", "softmax.int", "_softmax")
    kernels = {name: torch._C._dispatch_dump("aten::" + name) for name in operators}
    settings = (torch.get_num_threads(), torch.get_num_interop_threads(), torch.get_default_dtype(),
                torch.is_grad_enabled(), torch.initial_seed(), torch.get_rng_state().tolist(),
                tuple(warnings.filters), logging.root.level, tuple(logging.root.handlers))
    return attributes, kernels, settings

warnings.simplefilter("error")
before = state()
import torchext
for found, expected in zip(state(), before, strict=True):
    assert found == expected
"""
    assert succeeded(python("-c", code)) == ""


def test_import_time():
    """Below 0.3 s on top of torch; CPU time, so that a busy machine does not fail it (reading files is not counted)."""
    code = "import time, torch; start = time.process_time(); import torchext; print(time.process_time() - start)"
    assert min(float(succeeded(python("-c", code))) for _ in range(3)) < 0.3


def test_floating_point_state():
    """Denormals stay denormal in every thread: before, after the import, and after kernels ran.

    MXCSR is the last word of glibc's fenv_t on x86-64; its low six bits are flags of past exceptions, the rest control.
    """
    code = """
import ctypes, ctypes.util, platform, sys
import torch
torch.set_num_threads(2)

def control():
    environment = (ctypes.c_uint32 * 16)()
    libm = ctypes.CDLL(ctypes.util.find_library("m"))
    assert libm.fegetenv(environment) == 0
    return environment[7] & ~0x3F if platform.machine() == "x86_64" else libm.fegetround()

def check():
    assert control() == initial
    assert sys.float_info.min / 2 > 0 and 5e-324 * 2 == 1e-323
    for function in functions:
        for dtype, tiny in ((torch.float32, 1e-40), (torch.float64, 1e-310)):
            x = torch.full((1 << 20,), tiny, dtype=dtype)
            assert bool((function(x, x) == 2 * x[0].item()).all()), (function, dtype)

initial, functions = control(), [torch.add]
check()
import torchext
functions.append(torchext.add)
check()
x = torch.randn(1 << 20)
for name in torchext.functional.__all__:
    function = getattr(torchext, name)
    arguments = {"fused_multiply_add": (x, x, x), "softmax": (x, 0), "log_softmax": (x, 0), "logsumexp": (x, 0)}
    arguments |= dict.fromkeys(("cross_entropy", "nll_loss"), (x.view(-1, 64), torch.zeros(1 << 14, dtype=torch.int64)))
    few = torch.zeros(100, dtype=torch.int64)
    arguments["linear_cross_entropy"] = (x[:6400].view(100, 64), x[:640].view(10, 64), few)
    arguments |= dict.fromkeys(("add", "sub", "mul", "div"), (x, x))
    arguments |= dict.fromkeys(("layer_norm", "rms_norm"), (x.view(-1, 64), (64,)))
    arguments |= dict.fromkeys(torchext.functional.losses.__all__, (x.sigmoid(), x.sigmoid()))
    for product in torchext.functional.products.__all__:
        square = x[:1 << 18].view(*([1] if "bmm" in product else []), 512, 512)
        arguments[product] = (square,) * (3 if "add" in product else 2)
    function(*arguments.get(name, (x,)))
check()
"""
    assert succeeded(python("-c", code)) == ""


def test_one_openmp_runtime():
    """Two of them in a process fight over the cores and may deadlock."""
    code = """
import re
from pathlib import Path
import torch, torchext
torchext.mish(torch.randn(1 << 20))
paths = {line.split(maxsplit=5)[-1].strip() for line in open("/proc/self/maps") if "/" in line}
print("\\n".join({str(Path(path).resolve()) for path in paths if re.search(r"lib(gomp|iomp|omp)[^/]*[.]so", path)}))
"""
    runtimes = succeeded(python("-c", code)).split()
    assert len(runtimes) == 1, runtimes


def test_error_when_the_library_does_not_fit():
    """One readable sentence for another torch and for a missing library; another patch release of torch is fine."""
    code = """
import sys, types
import torch

def attempt(built_for, **modules):
    for name in [name for name in sys.modules if name.split(".")[0] == "torchext"]:
        del sys.modules[name]
    info = types.ModuleType("torchext._build_info")
    info.TORCH_VERSION, info.COMPILER = built_for, "g++"
    sys.modules["torchext._build_info"] = info
    sys.modules.update(modules)
    try:
        import torchext
    except Exception as error:
        print(type(error).__name__, error)
    else:
        print("imported")

attempt("2.7.1+cu126")
attempt(torch.__version__, **{"torchext._C": None})
attempt(".".join(torch.__version__.split(".")[:2]) + ".99+other")
"""
    other, missing, fitting = succeeded(python("-c", code)).splitlines()
    assert other.startswith("ImportError torchext was built for torch 2.7.1+cu126 but torch ")
    assert torch.__version__ in other
    assert "pip install" in other
    assert missing.startswith("ImportError torchext._C")
    assert "could not be loaded" in missing
    assert "pip install" in missing
    assert fitting == "imported"


RUN_AND_REPORT = """
import torch
try:
    import torchext
except ValueError as error:
    print(error)
else:
    x = torch.randn(1000)
    torchext.mish(x), torchext.add(x, x), torchext.softmax(x, 0)
    counters = torchext._C.counters()
    tables = {key for counts in counters.values() for key in counts if key.startswith("isa:")}
    print(torchext.isa.current(), *tables, counters["mish"]["taken"])
    print(torchext.show_config())
"""


@pytest.mark.parametrize("name", [*torchext.isa.available(), ""])
def test_isa_from_the_environment(name):
    first, *config = succeeded(python("-c", RUN_AND_REPORT, isa=name)).splitlines()
    expected = name or torchext.isa.available()[0]
    assert first == f"{expected} isa:{expected} 1"
    assert f"TORCHEXT_ISA: {name}" in config
    assert any(line.startswith(f"kernels: {expected} ") for line in config)


def names_that_work(message: str) -> bool:
    return ", ".join(["auto", *torchext.isa.available()]) in message


# An unknown name, and the best table above this CPU (where there is one).
@pytest.mark.parametrize("name", ["sse9", *[table for table in ("avx512", "avx2") if table not in LOCAL][:1]])
def test_wrong_isa_in_the_environment(name):
    message = succeeded(python("-c", RUN_AND_REPORT, isa=name)).strip()
    assert message.startswith(f"TORCHEXT_ISA='{name}': ")
    assert names_that_work(message)


@pytest.mark.parametrize("name", ["sse9", "AVX2", " scalar", *sorted(TABLES - LOCAL)])
def test_isa_that_this_machine_lacks(name):
    """Unknown names, tables of other machines and tables above this CPU: refused, with the names that work."""
    before = torchext.isa.current()
    with pytest.raises(ValueError, match=f'"{name}"') as caught:
        torchext.isa.use(name)
    assert names_that_work(str(caught.value))
    with pytest.raises(ValueError, match=f'"{name}"'), torchext.isa.using(name):
        raise AssertionError("the block must not run")
    assert torchext.isa.current() == before


def test_isa_use_and_using(fast_path):
    best = torchext.isa.available()[0]
    assert torchext.isa.available()[-1] == "scalar"
    assert set(torchext.isa.available()) <= TABLES
    assert torchext.isa.current() in torchext.isa.available()
    x = torch.randn(100)
    before = torchext.isa.current()
    try:
        for name in torchext.isa.available():
            torchext.isa.use(name)
            assert torchext.isa.current() == name
            assert f"kernels: {name} " in torchext.show_config()
            with fast_path("mish"):
                torchext.mish(x)
        torchext.isa.use("auto")
        assert torchext.isa.current() == best
    finally:
        torchext.isa.use(before)
    with torchext.isa.using("scalar"):
        with torchext.isa.using("auto"):
            assert torchext.isa.current() == best
        assert torchext.isa.current() == "scalar"
    assert torchext.isa.current() == before
    with pytest.raises(KeyError), torchext.isa.using("scalar"):
        raise KeyError
    assert torchext.isa.current() == before
    with pytest.raises(TypeError):
        torchext.isa.use(None)


def test_show_config():
    rows = dict(line.split(": ", 1) for line in torchext.show_config().splitlines())
    build = importlib.import_module("torchext._build_info")
    assert rows["torchext"] == torchext.__version__
    assert rows["torch"] == f"{torch.__version__} (built for {build.TORCH_VERSION})"
    assert rows["compiler"] == build.COMPILER
    assert rows["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}")
    assert rows["kernels"].startswith(torchext.isa.current())
    assert rows["kernels"].endswith(", ".join(torchext.isa.available()))
    assert f"({_C.float_lanes()} float32 lanes)" in rows["kernels"]
    assert rows["threads"].startswith("2 of ")
    assert rows["torch kernels"] == torch.backends.cpu.get_cpu_capability()
    assert set(rows) >= {"machine", "TORCHEXT_ISA"}


def test_logging():
    """Silent unless the user asks: the logger has a handler that does nothing and no level of its own."""
    logger = logging.getLogger("torchext")
    assert [type(handler) for handler in logger.handlers] == [logging.NullHandler]
    assert logger.level == logging.NOTSET
    assert logger.propagate
    code = "import logging, sys; logging.basicConfig(level='DEBUG', stream=sys.stdout); import torchext"
    lines = [line for line in succeeded(python("-c", code)).splitlines() if line.startswith("DEBUG:torchext:")]
    assert lines == [f"DEBUG:torchext:torchext {torchext.__version__} loaded, kernels: {torchext.isa.available()[0]}"]


def test_counters():
    x = torch.randn(10)
    _C.reset_counters()
    assert not any(count for counts in _C.counters().values() for count in counts.values())
    for _ in range(3):
        torchext.mish(x)
    torchext.add(x, x)
    torchext.add(x.bool(), x.bool())
    counters = _C.counters()
    table = f"isa:{torchext.isa.current()}"
    assert counters["mish"] == {"taken": 3, "dtype": 0, "layout": 0, "arguments": 0, "slower": 0, table: 3}
    assert counters["add"] == {"taken": 1, "dtype": 1, "layout": 0, "arguments": 0, "slower": 0, table: 1}
    counters["mish"]["taken"] = 99  # a copy
    assert _C.counters()["mish"]["taken"] == 3
    _C.reset_counters()
    assert _C.counters()["mish"] == {"taken": 0, "dtype": 0, "layout": 0, "arguments": 0, "slower": 0}


def test_exit_with_live_tensors():
    """Results, graphs and threads that outlive the interpreter's shutdown, and a call while it exits: code 0."""
    code = """
import atexit, threading
import torch, torchext
x = torch.randn(1 << 20, requires_grad=True)
y = torchext.mish(torchext.add(x, 1.0))
z = torchext.softmax(y, 0)
local = threading.local()
local.tensor = torchext.gelu(x)
cycle = [z]
cycle.append(cycle)
thread = threading.Thread(target=lambda: torchext.mish(x).sum().backward())
thread.start()
atexit.register(lambda: print(torchext.relu(x).shape))
"""
    assert succeeded(python("-c", code)) == "torch.Size([1048576])\n"


@pytest.mark.parametrize("name", ["torchext", "torchext.functional", "torchext.nn", "torchext.isa"])
def test_examples_in_the_documentation(name):
    """They run as printed, and every function has one."""
    module = importlib.import_module(name)
    objects = {public: getattr(module, public) for public in module.__all__}
    objects = {public: value for public, value in objects.items() if not isinstance(value, ModuleType | str)}
    finder = doctest.DocTestFinder(recurse=False)
    runner = doctest.DocTestRunner(verbose=False)
    before = torchext.isa.current()
    report: list[str] = []
    without = set()
    for public, value in {"": module, **objects}.items():
        examples = finder.find(value, f"{name}.{public}", module=False, globs={"torch": torch, "torchext": torchext})
        for test in examples:
            runner.run(test, out=report.append)
        if not any(test.examples for test in examples):
            without.add(public)
    torchext.isa.use(before)
    assert runner.summarize(verbose=False).failed == 0, "".join(report)
    if name == "torchext.nn":
        assert "" not in without  # one for all, in the module
    else:
        assert without <= {"", "current", "using"}


def command(arguments: list[str], monkeypatch) -> int:
    """Exit code of ``python -m torchext ARGUMENTS``, in this process: it saves importing torch once more."""
    monkeypatch.setattr(sys, "argv", ["torchext", *arguments])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("torchext", run_name="__main__", alter_sys=True)
    return caught.value.code


def test_command_info(monkeypatch, capsys):
    assert command(["info"], monkeypatch) == 0
    captured = capsys.readouterr()
    assert captured.out == torchext.show_config() + "\n"
    assert captured.err == ""


def test_command_demo():
    process = python("-m", "torchext", "demo", "--epochs", "1")
    assert process.returncode == 0, process.stderr
    assert "The losses agree" in process.stdout
    assert f"times ({torchext.isa.available()[0]})" in process.stdout
    assert "epoch 1/1" in process.stderr  # progress


@pytest.mark.parametrize("arguments", [("nonsense",), (), ("demo", "--epochs", "0"), ("info", "--unknown")], ids=str)
def test_command_line_errors(arguments, monkeypatch, capsys):
    """Exit code 2 and the usage on stderr, as argparse does."""
    assert command(list(arguments), monkeypatch) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: python -m torchext")


def test_limits_are_measured_again():
    """The fastest of several ways counts; what takes long is measured in every round, in the way that was fastest."""
    probes = []

    def probe(rate):
        return lambda repeats: probes.append((rate, repeats)) or rate

    rate = _bench_limits._rate(probe(1e6), probe(2e6))
    assert rate.best == 2e6
    short, long = (_bench_limits.Limit(amount, rate, 1e-6) for amount in (10, 1000))
    probes.clear()
    assert _bench_limits.together([short, long]) == short.seconds + long.seconds == 10 / 2e6 + 1000 / 2e6 + 2e-6
    assert probes == [(2e6, 1)]


def test_limits_of_the_machine_are_possible():
    """A loop that the compiler removes would run at any rate: no vector unit makes 1e11 instructions a second."""
    for rate in (_C.limits_fma, _C.limits_divide, _C.limits_integer):
        assert 1e7 < rate(1, 2) < 1e11
    assert 1e8 < _C.limits_read(1 << 16, 1, 4, 512, 2) < 1e13
    with pytest.raises(ValueError, match="streams"):
        _C.limits_read(64, 1, 0, 128, 1)
    with pytest.raises(ValueError, match="run"):
        _C.limits_read(64, 1, 1, 64, 1)
