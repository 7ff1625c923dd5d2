"""Runs PyTorch's own test files, patched and stock, and lists what passes stock and does not patched.

usage: python tools/test_pytorch.py [-k EXPRESSION] [-n PROCESSES]

The files are test_unary_ufuncs.py and test_reductions.py of Debian's source package ``pytorch`` (suite trixie, 2.6),
fetched with apt into build/pytorch; nothing else of the machine's apt changes. Some 30 000 tests run patched; those
that do not pass run stock, too: what fails there as well (2.6's tests on a newer torch) is counted, and says nothing.
Exit code 1 if a test was lost, or if the patched run never reached one of our kernels.
"""

import argparse
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "pytorch"
FILES = ("test_unary_ufuncs.py", "test_reductions.py")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def fetch() -> None:
    """Leaves the test files in FOLDER."""
    if all((FOLDER / name).exists() for name in FILES):
        return
    apt = FOLDER / "apt"
    for folder in ("lists/partial", "archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb-src [signed-by={KEYRING}] http://deb.debian.org/debian trixie main\n")
    settings = {
        "Dir::Etc::SourceList": apt / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": apt / "lists",
        "Dir::Cache": apt,
    }
    (apt / "apt.conf").write_text("".join(f'{name} "{value}";\n' for name, value in settings.items()))
    environment = os.environ | {"APT_CONFIG": str(apt / "apt.conf")}
    for command in (["update"], ["source", "--download-only", "pytorch"]):
        subprocess.run(["apt-get", "-q", *command], cwd=apt, env=environment, check=True)
    (archive,) = apt.glob("pytorch_*.orig.tar.*")
    wanted = [f"*/test/{name}" for name in FILES]
    unpack = ["tar", "-xf", archive, "-C", FOLDER, "--strip-components=2", "--wildcards", *wanted]
    subprocess.run(unpack, check=True)


def run(patched: bool, arguments: list[str], only: list[str] | None = None) -> dict[str, str]:
    """Runs the files, or `only` these tests; returns what became of each test: "passed", "failed" or "skipped"."""
    name = "patched" if patched else "stock"
    outcomes = FOLDER / f"{name}.xml"
    outcomes.unlink(missing_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "TORCHEXT_ONLY"} | {
        "PYTHONPATH": str(ROOT / "tools"),
        "TORCHEXT_PATCH": "1" if patched else "0",
        "TORCHEXT_HITS": str(FOLDER / f"{name}-hits"),
    }
    if only is not None:
        environment["TORCHEXT_ONLY"] = str(FOLDER / "only")
        (FOLDER / "only").write_text("\n".join(only))
    plugins = ["-p", "no:cacheprovider", "-p", "test_pytorch_plugin"]
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", *plugins]
    command += [f"--rootdir={FOLDER}", "-o", "junit_family=xunit1", f"--junitxml={outcomes}", *arguments, *FILES]
    with open(FOLDER / f"{name}.log", "w") as log:
        status = subprocess.run(command, cwd=FOLDER, env=environment, stdout=log, stderr=subprocess.STDOUT).returncode
    if status not in (0, 1) or not outcomes.exists():  # 1: some tests failed
        raise SystemExit(f"the {name} run did not end: see {FOLDER / name}.log")
    became = {}
    for case in ElementTree.parse(outcomes).iter("testcase"):
        kinds = {child.tag for child in case}
        failed = kinds & {"failure", "error"}
        became[f"{case.get('classname')}::{case.get('name')}"] = (
            "failed" if failed else "skipped" if "skipped" in kinds else "passed"
        )
    return became


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", default="", help="pytest's expression: these tests alone")
    parser.add_argument("-n", default="auto", help="processes")
    options = parser.parse_args()
    fetch()
    arguments = ["-n", options.n, "-k", options.k]
    for leftover in FOLDER.glob("*-hits*"):
        leftover.unlink()
    patched = run(True, arguments)
    rest = [test for test, kind in patched.items() if kind != "passed"]
    stock = run(False, arguments, rest) if rest else {}
    for name, became in (("patched", patched), ("those that do not pass, stock", stock)):
        counts = {kind: list(became.values()).count(kind) for kind in ("passed", "failed", "skipped")}
        print(f"{name}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()))
    hits: dict[str, int] = {}
    for file in FOLDER.glob("patched-hits*"):
        for operator, count in json.loads(file.read_text()).items():
            hits[operator] = hits.get(operator, 0) + count
    print(f"{sum(hits.values())} calls of {len(hits)} overrides ran our kernels")
    lost = [test for test in rest if stock.get(test, "passed") == "passed"]  # or unknown there, as a file that is lost
    for test in lost:
        print(f"passes stock, not patched: {test}")
    return 1 if lost or not hits or not patched else 0


if __name__ == "__main__":
    sys.exit(main())
