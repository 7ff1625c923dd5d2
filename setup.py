"""Builds torchext._C: every .cpp under csrc/, with torch's own build extension and ninja. Metadata: pyproject.toml."""

import os
import shutil
import subprocess
import sys
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
# runtime is the libgomp that torch has loaded. -ffp-contract=off: FMA is written where it is meant.
COMPILE_FLAGS = [
    "-std=c++20", "-O3", "-g0", "-fopenmp", "-ffp-contract=off", "-fno-math-errno", "-fvisibility=hidden",
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
    """torch's build extension with a fixed folder for objects, so that ninja compiles only what changed."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.build_temp = str(FOLDER / "build" / "temp")


write_build_info()
setup(
    ext_modules=[CppExtension("torchext._C", SOURCES, extra_compile_args=COMPILE_FLAGS, extra_link_args=LINK_FLAGS)],
    cmdclass={"build_ext": Build},
)
