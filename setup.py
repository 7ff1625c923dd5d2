"""Builds torchext._C: every .cpp under csrc/, with torch's own build extension and ninja. Metadata: pyproject.toml."""

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import torch
from setuptools import setup
from torch.utils.cpp_extension import BuildExtension, CppExtension

FOLDER = Path(__file__).parent
SOURCES = sorted(
    str(path.relative_to(FOLDER))
    for folder in ("kernels", "memory", "ops", "patch", "python")
    for path in (FOLDER / "csrc" / folder).glob("*.cpp")
)
# -g0: Python's own flags add -g, which doubles compile time. -fopenmp: without it at::parallel_for is serial; the
# runtime is the libgomp that torch has loaded. -ffp-contract=off: FMA is written where it is meant. -falign-loops: the
# tile of a product runs 3 to 6 % slower on Zen 3 when its 116 bytes lie in three lines.
COMPILE_FLAGS = [
    "-std=c++20", "-O3", "-g0", "-fopenmp", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden",
    "-falign-loops=64",
]  # fmt: skip
LINK_FLAGS = ["-fopenmp", "-Wl,-s"] if sys.platform == "linux" else []


def write_build_info() -> None:
    """Records what the library was built for, in a module that can be read when the library itself cannot be loaded."""
    compiler = os.environ.get("CXX", "c++")
    found = shutil.which(compiler)
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout if found else ""
    lines = [
        '"""Written by setup.py."""',
        f"TORCH_VERSION = {torch.__version__!r}",
        f"COMPILER = {(version.splitlines() or [compiler])[0]!r}",
    ]
    (FOLDER / "torchext" / "_build_info.py").write_text("\n".join(lines) + "\n")


class Build(BuildExtension):
    """torch's build extension with a fixed folder for objects, so that ninja compiles only what changed, and with
    torch's headers precompiled: units that see torch spend half of their time on parsing them. Not pybind11's: its 10 s
    in each unit of the Python module are code that is generated there."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = str(FOLDER / "build" / "temp")

    def build_extensions(self) -> None:
        precompiling = self.precompile(FOLDER / "csrc" / "ops" / "torch_headers.h")
        super().build_extensions()  # ninja starts with the kernels, which take longer than this and see no torch
        if precompiling:
            precompiling.join()

    def precompile(self, header: Path) -> threading.Thread | None:
        """Leaves header.gch/KEY, which g++ takes instead of the header where a unit includes it first and the flags
        are the same. g++ does not look whether torch's headers have changed since: KEY has their version. Other
        compilers parse."""
        folders = self.extensions[0].include_dirs + self.compiler.include_dirs
        command = [*self.compiler.compiler_so, *(f"-I{folder}" for folder in folders), *COMPILE_FLAGS]
        command += ["-DTORCH_API_INCLUDE_EXTENSION_H", "-DTORCH_EXTENSION_NAME=_C", "-x", "c++-header", str(header)]
        about = subprocess.run([command[0], "--version"], capture_output=True, text=True).stdout
        if "Free Software Foundation" not in about:
            return None
        key = hashlib.sha256("\n".join([about, torch.__version__, header.read_text(), *command]).encode()).hexdigest()
        precompiled = header.with_name(header.name + ".gch") / key[:16]
        if precompiled.exists():
            return None
        shutil.rmtree(precompiled.parent, ignore_errors=True)
        precompiled.parent.mkdir()
        unfinished = Path(self.build_temp) / "torch_headers.gch"
        unfinished.parent.mkdir(parents=True, exist_ok=True)

        def run() -> None:  # a failure here costs time only: the units that include the header will tell what is wrong
            if subprocess.run([*command, "-o", str(unfinished)], capture_output=True).returncode == 0:
                unfinished.rename(precompiled)

        thread = threading.Thread(target=run)
        thread.start()
        return thread


write_build_info()
setup(
    ext_modules=[CppExtension("torchext._C", SOURCES, extra_compile_args=COMPILE_FLAGS, extra_link_args=LINK_FLAGS)],
    cmdclass={"build_ext": Build},
)
