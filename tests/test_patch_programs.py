"""Patching of whole programs: other libraries' overrides, the command line, the environment, verify and doctor."""

from __future__ import annotations

import torch
from programs import run_python
from torch import nn

import torchext

FOREIGN = """
import warnings, torch
warnings.simplefilter("ignore")
library = torch.library.Library("aten", "IMPL")
{first}
import torchext
torchext.patch(memory=False)
{then}
x = torch.ones(3)
print(torch.tanh(x).tolist(), {{entry.state for entry in torchext.report().entries if entry.name == "aten::tanh"}})
"""
OVERRIDE = 'library.impl("tanh", lambda self: torch.full_like(self, 7), "CPU")'


def test_foreign_overrides():
    """Another library's kernel keeps running, and the report says so."""
    assert run_python(FOREIGN.format(first=OVERRIDE, then="")) == "[7.0, 7.0, 7.0] {'foreign'}\n"
    assert run_python(FOREIGN.format(first="", then=OVERRIDE)) == "[7.0, 7.0, 7.0] {'shadowed'}\n"


def test_import_changes_nothing():
    """Neither the import nor a patch that was undone leaves a mark on results, nor a word on the streams."""
    program = (
        "import torch, hashlib\nx = torch.linspace(-9, 9, 10_001)\n{}\n"
        "print(hashlib.sha256(torch.tanh(x).numpy().tobytes() + torch.softmax(x, 0).numpy().tobytes()).hexdigest())"
    )
    stock = run_python(program.format(""))
    assert run_python(program.format("import torchext")) == stock
    assert run_python(program.format("import torchext; torchext.patch(); torchext.unpatch()")) == stock
    assert run_python(program.format("import torchext; torchext.patch()")) != stock


SCRIPT = """
import sys, torch
assert __name__ == "__main__"
x = torch.nn.functional.cross_entropy(torch.ones(2, 3), torch.tensor([0, 1]))
import torchext
print(sys.argv[1:], torchext.is_patched(), torchext.report().entries[-1] is not None)
print(sorted(entry.name for entry in torchext.report().entries if entry.hits))
"""


def test_run_and_environment(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    found = run_python("-m", "torchext", "run", str(script), "--flag", "a")
    assert "['--flag', 'a'] True" in found and "cross_entropy" in found
    found = run_python("-m", "torchext", "run", "--only", "activation", "--no-memory", str(script))
    assert "[] True" in found and "cross_entropy" not in found
    assert "cross_entropy" in run_python(str(script), environment={"TORCHEXT_PATCH": "1"})
    assert "['torch.nn.functional.cross_entropy']" in run_python(str(script), environment={"TORCHEXT_PATCH": "loss"})
    assert "[] False" in run_python(str(script), environment={"TORCHEXT_PATCH": "0"})
    first = "import torchext; print(torchext.is_patched(), torchext.report().entries[0].state)"
    assert run_python(first, environment={"TORCHEXT_PATCH": "1"}) == "True on\n"
    assert run_python(first, environment={"TORCHEXT_PATCH": " relu, loss"}) == "True on\n"
    assert run_python("-m", "torchext", "info", environment={"TORCHEXT_PATCH": "1"})
    plain = run_python("import sys, torch; print('torchext' in sys.modules)")
    assert plain.strip() == "False"
    assert "is neither a function nor a family" in run_python(
        "-m", "torchext", "run", "--only", "gleu", str(script), fails=True
    )
    assert "does not exist" in run_python("-m", "torchext", "run", "missing.py", fails=True)


def test_verify_sees_what_differs():
    from torchext._verify import _compare

    nan = torch.tensor([float("nan"), 0.5])
    assert not _compare("x", nan, torch.tensor([1.0, 0.5]), None, 0.0).ok
    assert not _compare("x", torch.tensor([1.0, 0.5]), nan, None, 0.0).ok
    assert _compare("x", nan, nan, None, 0.0).ok
    assert not _compare("x", torch.tensor([float("inf")]), torch.tensor([-float("inf")]), None, 0.0).ok
    assert not _compare("x", torch.tensor([1, 2]), torch.tensor([1, 3]), None, 0.0).ok
    assert not _compare("x", torch.ones(2), torch.ones(2) * 1.01, None, 0.0).ok
    assert torchext.verify(nn.Identity(), torch.randn(3, requires_grad=True) * 2)


def test_verify_command(tmp_path):
    module = tmp_path / "factories.py"
    module.write_text("import torch\ndef small():\n    return torch.nn.Linear(3, 2), torch.ones(1, 3)\n")
    found = run_python("-m", "torchext", "verify", "factories:small", environment={"PYTHONPATH": str(tmp_path)})
    assert "no divergence in" in found
    assert "expected MODULE:FACTORY" in run_python("-m", "torchext", "verify", "nothing", fails=True)


def test_doctor():
    from torchext import _doctor

    assert _doctor.openmp_runtimes("7f /lib/libgomp.so.1\n7e /x/libiomp5.so\n7d /lib/libc.so.6") == {
        "/lib/libgomp.so.1", "/x/libiomp5.so",
    }  # fmt: skip
    assert 0 < _doctor.usable_cpus() <= 4096
    threads = torch.get_num_threads()
    torch.set_num_threads(1000)
    assert "set_num_threads" in _doctor.check_threads().fix
    torch.set_num_threads(threads)
    assert "install" in _doctor.check_allocator().fix
    if torch.set_flush_denormal(True):
        assert "set_flush_denormal(False)" in _doctor.check_denormals().fix
        torch.set_flush_denormal(False)
    assert not _doctor.check_denormals().fix
    assert all(check().found for check in _doctor.CHECKS)
