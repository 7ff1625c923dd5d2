"""The layout rules of csrc/kernels: what the objects of an ISA export, and what sources and flags must not contain."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "csrc" / "kernels"
NATIVE = {"x86_64": ["avx2", "avx512", "scalar"], "aarch64": ["neon", "scalar"]}.get(platform.machine(), [])
ISAS = ("avx2", "avx512", "neon", "scalar")


def compile_unit(unit: Path, folder: Path) -> Path:
    compiler = shutil.which("c++") or shutil.which("g++")
    if not compiler or not shutil.which("nm"):
        pytest.skip("needs c++ and nm")
    result = folder / f"{unit.stem}.o"
    # -O1: what is exported does not depend on more, and it takes half the time.
    flags = ["-std=c++20", "-O1", "-ffp-contract=off", "-fno-math-errno", "-w"]
    subprocess.run([compiler, *flags, "-c", str(unit), "-o", str(result)], check=True)
    return result


def built_objects(unit: Path) -> list[Path]:
    """Objects of an earlier build that are newer than the unit and all that it includes."""
    newest = max(path.stat().st_mtime for path in sources(unit))
    return [
        path
        for path in (ROOT / "build").rglob(f"{unit.stem}*.o")
        if is_ours(path, unit) and path.stat().st_mtime > newest
    ]


def sources(unit: Path) -> set[Path]:
    """The file itself and, through any number of steps, those of its folder that it includes."""
    found, new = set(), {unit}
    while new:
        found |= new
        names = {name for path in new for name in re.findall(r'#include "([\w./]+)"', path.read_text())}
        new = {KERNELS / name for name in names if (KERNELS / name).exists()} - found
    return found


def is_ours(path: Path, unit: Path) -> bool:
    return path.name in (f"{unit.stem}.o", f"{unit.name}.o") and not any("aarch64" in part for part in path.parts)


def symbols(path: Path) -> list[tuple[str, str]]:
    """(kind, demangled name) of everything that the object defines for others or wants from them."""
    lines = subprocess.run(["nm", "-C", str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
    matches = (re.match(r"[0-9a-f ]{16} (.) (.*)", line) for line in lines)
    return [(match[1], match[2]) for match in matches if match]


def units(isa: str) -> list[Path]:
    return sorted(path for path in KERNELS.glob(f"isa_{isa}*.cpp") if path.stem.split("_")[1] == isa)


@pytest.mark.parametrize("unit", [unit for isa in NATIVE for unit in units(isa)], ids=lambda unit: unit.stem)
def test_an_isa_object_exports_only_its_own_namespace(unit: Path, tmp_path: Path) -> None:
    isa = unit.stem.split("_")[1]
    found = built_objects(unit)
    defined = symbols(found[0] if found else compile_unit(unit, tmp_path))
    exported = [name for kind, name in defined if kind in "TWVDBRCuiG"]
    # "void rusttorch::avx2::map1<...>(...)": the first qualified name is the function's own.
    foreign = [name for name in exported if not re.match(rf"([\w ]+ )?rusttorch::{isa}::", name)]
    assert exported
    assert not foreign, "code of the region that other units may end up running"
    if "_" not in unit.stem.removeprefix("isa_"):
        assert exported == [f"rusttorch::{isa}::kernel_table"]
    assert not [name for _, name in defined if "_GLOBAL__sub_I" in name or "__cxa_guard" in name], "static initialisers"
    wanted = {name for kind, name in defined if kind == "U" and "rusttorch::" not in name}
    forbidden = {"malloc", "free", "__cxa_throw", "__cxa_allocate_exception"} | {
        n for n in wanted if "operator new" in n
    }
    assert not wanted & forbidden


def test_every_family_has_a_unit_for_every_isa() -> None:
    families = {path.stem.removeprefix("instances_") for path in KERNELS.glob("instances_*.h")}
    for isa in ISAS:
        assert {path.stem for path in units(isa)} == {f"isa_{isa}"} | {f"isa_{isa}_{family}" for family in families}


def test_kernels_do_not_know_torch() -> None:
    includes = [
        (path.name, line)
        for path in KERNELS.glob("*.*")
        if path.suffix in (".h", ".cpp")
        for line in path.read_text().splitlines()
        if re.match(r"\s*#\s*include", line)
    ]
    assert len(includes) > 20
    assert not [found for found in includes if re.search(r"torch/|ATen|c10|pybind|Python\.h", found[1])]


def test_no_lambda_and_no_throw_in_regions() -> None:
    for path in KERNELS.glob("*.h"):
        code = re.sub(r"//.*", "", path.read_text())
        if path.name == "dispatch.h":
            continue
        assert not re.search(r"\[[&=\w, ]*\]\s*(\([^)]*\))?\s*(mutable\s*)?\{", code), path.name
        assert not re.search(r"\b(throw|malloc|new)\b", code), path.name
        assert not re.search(r"\bstatic\s+(?!constexpr|inline|RUSTTORCH_INLINE|_?assert|void|bool|V |T )", code), (
            path.name
        )


def test_no_flags_that_leak() -> None:
    files = [
        ROOT / "setup.py",
        ROOT / "CMakeLists.txt",
        *(ROOT / "tests" / "cpp").rglob("CMakeLists.txt"),
        ROOT / "Makefile",
    ]
    for path in files:
        code = "\n".join(re.sub(r"#.*", "", line) for line in path.read_text().splitlines())
        found = re.search(r"-(march|mtune|mavx|mfma|Ofast|f(fast|unsafe|associative)-math)", code)
        assert not found, f"{path.name}: {found and found[0]}"
    assert "-ffp-contract=off" in (ROOT / "setup.py").read_text()
    assert "-ffp-contract=off" in (ROOT / "CMakeLists.txt").read_text()


def test_vec_headers_declare_the_same_functions() -> None:
    """vec_{avx2,avx512,neon}.h implement one contract: the names that vec.h lists exist in each."""
    contract = (KERNELS / "vec.h").read_text().split("#pragma once")[0]
    names = {
        "fma", "fnma", "sqrt", "abs", "copysign", "round", "floor", "trunc", "minimum", "maximum",
        "min_number", "max_number", "is_nan", "select", "any", "all", "first_lanes", "shift_left",
        "shift_right", "shift_right_arithmetic", "bits", "from_bits", "to_int", "to_float", "to_double",
        "scale", "divide_trunc", "divide_floor", "gather_table16", "reduce_add", "reduce_max",
    }  # fmt: skip
    for name in names:
        assert re.search(rf"\b{name}\b", contract), f"{name} is not in the contract"
        for isa in ISAS:
            headers = "".join(path.read_text() for path in KERNELS.glob(f"vec_{isa}*.h"))
            assert re.search(rf"\b{name}(<\w+>)?\(", headers), f"{name} is not in vec_{isa}.h"
