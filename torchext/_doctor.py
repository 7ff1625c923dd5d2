"""`python -m torchext doctor`: what costs speed or correctness in this process, and how to mend it."""

from __future__ import annotations

import argparse
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from torchext import _C, _patch_report, isa
from torchext._build_info import TORCH_VERSION


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found, and how to fix it ("" where it is as it should be)."""

    name: str
    found: str
    fix: str = ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def usable_cpus() -> float:
    """CPUs this process may use: its affinity, or the limit of its control group where that is less."""
    cpus = float(len(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else float(os.cpu_count() or 1)
    if limit := re.match(r"(\d+) (\d+)", _read("/sys/fs/cgroup/cpu.max")):
        return min(cpus, int(limit[1]) / int(limit[2]))
    quota, period = (_read(f"/sys/fs/cgroup/cpu/cpu.cfs_{name}_us") for name in ("quota", "period"))
    if quota.strip().isdecimal() and period.strip().isdecimal():
        return min(cpus, int(quota) / int(period))
    return cpus


def openmp_runtimes(maps: str) -> set[str]:
    """Files of OpenMP runtimes among the mappings of a process (the text of /proc/self/maps)."""
    return set(re.findall(r"\S*/lib(?:gomp|iomp5|omp)[-.][^\s/]*\.?so\S*", maps))


def check_torch() -> Finding:
    return Finding("torch", f"{torch.__version__}, built for {TORCH_VERSION}")


def check_isa() -> Finding:
    best = isa.available()[0]
    if isa.current() != best:
        return Finding("kernels", f"{isa.current()}, but this CPU has {best}", "unset TORCHEXT_ISA")
    if best == "scalar":
        return Finding("kernels", "scalar: this CPU has neither AVX2 nor NEON", "torchext gains little on this machine")
    return Finding("kernels", best)


def check_openmp() -> Finding:
    found = sorted(openmp_runtimes(_read("/proc/self/maps")))
    names = ", ".join(found) or "none found"
    if len(found) > 1:
        return Finding("OpenMP", names, "two thread pools compete: install packages that share one runtime")
    return Finding("OpenMP", names)


def check_threads() -> Finding:
    threads, cpus = torch.get_num_threads(), usable_cpus()
    found = f"{threads} threads, {cpus:g} usable CPUs"
    if threads > cpus:
        fix = f"torch.set_num_threads({max(1, int(cpus))}) or OMP_NUM_THREADS={max(1, int(cpus))}"
        return Finding("threads", found, fix)
    if threads < int(cpus) // 2:
        return Finding("threads", found, "cores lie idle: raise OMP_NUM_THREADS or call torch.set_num_threads()")
    return Finding("threads", found)


def check_allocator() -> Finding:
    preloaded = [Path(name).name for name in re.split(r"[ :]+", os.environ.get("LD_PRELOAD", "")) if "malloc" in name]
    if _C.memory.is_installed():
        return Finding("allocator", "torchext's pool")
    if preloaded:
        return Finding("allocator", f"{', '.join(preloaded)} is preloaded", "measure torchext.patch() without it")
    return Finding("allocator", "torch's own, with page faults", "torchext.patch() or torchext.memory.install()")


def check_denormals() -> Finding:
    smallest = torch.full((64,), torch.finfo(torch.float32).smallest_normal)
    flushed = not bool((smallest / 2).all())
    if flushed:
        return Finding("denormals", "flushed to zero", "torch.set_flush_denormal(False), unless you wanted it")
    return Finding("denormals", "kept")


def check_huge_pages() -> Finding:
    mode = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    found = mode[1] if mode else "unknown"
    if found == "never":
        return Finding("huge pages", found, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled (as root)")
    return Finding("huge pages", found)


def check_bfloat16() -> Finding:
    flags = _read("/proc/cpuinfo")
    if "avx512_bf16" in flags or "amx_bf16" in flags or re.search(r"\bbf16\b", flags):
        return Finding("bfloat16", "products in hardware")
    if platform.machine() == "x86_64":
        return Finding("bfloat16", "no products in hardware", "keep models in float32 here: bfloat16 products are slow")
    return Finding("bfloat16", "unknown")


def check_overrides() -> Finding:
    others = [entry.name for entry in _patch_report.report().entries if entry.state in ("foreign", "shadowed")]
    if others:
        return Finding("overrides", f"another library's: {', '.join(others)}", "load only one of the two")
    return Finding("overrides", "none of another library")


CHECKS = (
    check_torch, check_isa, check_openmp, check_threads, check_allocator, check_denormals, check_huge_pages,
    check_bfloat16, check_overrides,
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def main(options: argparse.Namespace) -> int:
    """Prints every finding; 1 where one has a fix."""
    del options
    findings = [check() for check in CHECKS]
    for finding in findings:
        print(f"{'ok  ' if not finding.fix else 'FIX '} {finding.name}: {finding.found}")
        if finding.fix:
            print(f"     -> {finding.fix}")
    return int(any(finding.fix for finding in findings))
