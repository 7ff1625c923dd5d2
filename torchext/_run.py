"""`python -m torchext run script.py args...`: runs a program as it is, patched."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from torchext import _patch, _patch_report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", help="names or families to patch, separated by commas; default all")
    parser.add_argument("--exclude", help="names or families to leave alone, separated by commas")
    parser.add_argument("--no-memory", action="store_true", help="leave torch's allocator in place")
    parser.add_argument("--random", action="store_true", help="also functions that draw other random numbers")
    parser.add_argument("--report", action="store_true", help="print what was patched and how often it ran, at the end")
    parser.add_argument("-m", dest="module", action="store_true", help="run a module by its name, as python -m does")
    parser.add_argument("program", help="a script, or a module with -m")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program gets")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name for name in text.split(",") if name]


def main(options: argparse.Namespace) -> int:
    if not options.module and not Path(options.program).exists():
        print(f"run: expected a script, got {options.program!r}, which does not exist", file=sys.stderr)
        return 2
    try:
        _patch.patch(_names(options.only), _names(options.exclude), memory=not options.no_memory, random=options.random)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    sys.argv = [options.program, *options.arguments]
    try:
        if options.module:
            sys.path[0] = ""
            runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(options.program).resolve().parent)
            runpy.run_path(options.program, run_name="__main__")
    finally:
        if options.report:
            print(_patch_report.report(), file=sys.stderr)
    return 0
