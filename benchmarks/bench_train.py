"""Whole training steps and inference, stock and patched: python benchmarks/bench_train.py [model ...]

Models are in models.py (pip install transformers), float32, AdamW. Four states alternate in one process:

  stock     torch as it is, AdamW with its defaults
  pooled    torchext.memory.install(), AdamW(fused=True)
  patched   torchext.patch(), AdamW(fused=True): only our kernels are added
  random    torchext.patch(random=True): dropout, too

"kernels" is pooled / patched, "all" is stock / patched; each with what random=True makes of it. Peak memory comes from
a process of its own. --compile adds the same model under torch.compile with AdamW(fused=True); --preload <library>
runs stock with AdamW(fused=True) under another allocator, and patched, in turns in a process of its own. --limit adds
what a step cannot go below (step_limit.py) and its part of the faster of patched and random. --explain adds
what torchext.explain() predicts of inference. At last, what a patch that is switched off costs an addition of 64
elements: the fastest of runs in turns, in processes that never patched and that patched and unpatched.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from models import TRAINED, TRANSFORMERS
from step_limit import step_limit

import torchext

STATES = ("stock", "pooled", "patched", "random")
SECONDS = 0.05  # that a sample should take


def enter(state: str) -> None:
    """Makes torch what the state says."""
    torchext.unpatch()
    torchext.memory.uninstall()
    if state == "pooled":
        torchext.memory.install()
    elif state in ("patched", "random"):
        torchext.patch(random=state == "random")


def trainer(name: str, fused: bool, compiled: bool = False) -> Callable[[], object]:
    """A training step."""
    torch.manual_seed(0)
    model, keywords = TRAINED[name]()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused or None)
    call = torch.compile(model) if compiled else model

    def step() -> object:
        optimizer.zero_grad()
        call(**keywords)["loss"].backward()
        optimizer.step()
        return None

    return step


def predictor(name: str) -> Callable[[], object]:
    """A call in inference mode, of a model without dropout."""
    torch.manual_seed(0)
    model, keywords = TRANSFORMERS[name]()
    model.eval()

    def call() -> object:
        with torch.inference_mode():
            return model(**keywords)

    return call


def sample(step: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        step()
    return (time.perf_counter() - started) / times


def alternate(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of each state's step, in turns; one unmeasured step after each change of state."""
    samples: dict[str, list[float]] = {state: [] for state in steps}
    times = max(1, int(SECONDS / sample(steps[next(iter(steps))], 2)))
    for _ in range(rounds):
        for state, step in steps.items():
            enter(state)
            step()
            samples[state].append(sample(step, times))
    enter("stock")
    return {state: statistics.median(values) * 1e3 for state, values in samples.items()}


def in_process(*arguments: str, environment: dict[str, str] | None = None) -> float:
    """The number a run of this script prints last."""
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **(environment or {})}
    )
    return float(done.stdout.split()[-1])


def peak_bytes(name: str, state: str) -> float:
    """Largest resident memory of this process after a few steps."""
    enter(state)
    step = trainer(name, fused=state != "stock")
    for _ in range(4):
        step()
    with open("/proc/self/status") as file:  # not getrusage, whose maximum starts from the parent's
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def train(names: list[str], options: argparse.Namespace) -> None:
    heads = "".join(f" {state:>8}" for state in STATES)
    print(f"{'training ms':12}{heads}   kernels random     all random  peak")
    for name in names:
        fused = trainer(name, True)
        steps = {state: trainer(name, False) if state == "stock" else fused for state in STATES}
        if options.compile:
            steps["compiled"] = trainer(name, True, compiled=True)
            steps["compiled"]()
        ms = alternate(steps, options.rounds)
        del steps
        peak = [in_process(name, "--peak", state) for state in ("stock", "patched")]
        line = f"{name:12}" + "".join(f" {ms[state]:8.2f}" for state in STATES)
        line += f"   {ms['pooled'] / ms['patched']:7.3f} {ms['pooled'] / ms['random']:6.3f}"
        line += f" {ms['stock'] / ms['patched']:7.2f} {ms['stock'] / ms['random']:6.2f} {peak[1] / peak[0]:5.2f}"
        if options.limit:
            products, everything = step_limit(trainer(name, True))
            part = everything / min(ms["patched"], ms["random"])
            line += f"  products {products:.1f}, limit {everything:.1f}: {part:.0%}"
        if options.compile:
            line += f"  compiled {ms['compiled']:.2f}: {ms['compiled'] / ms['patched']:.2f}"
        if options.preload:
            ratio = in_process(name, "--over-patched", environment={"LD_PRELOAD": options.preload})
            line += f"  preloaded: {ratio:.2f}"
        print(line, flush=True)


def infer(names: list[str], options: argparse.Namespace) -> None:
    print(f"{'inference ms':12} {'stock':>8} {'patched':>8}  ratio")
    ratios = []
    for name in names:
        call = predictor(name)
        ms = alternate({"stock": call, "patched": call}, options.rounds)
        ratios.append(ms["stock"] / ms["patched"])
        line = f"{name:12} {ms['stock']:8.2f} {ms['patched']:8.2f} {ratios[-1]:6.2f}"
        if options.explain:
            torch.manual_seed(0)
            model, keywords = TRANSFORMERS[name]()
            speedup = torchext.explain(model.eval(), **keywords).speedup
            line += f"  predicted {speedup:.2f}, off by {abs(speedup / ratios[-1] - 1):.0%}"
        print(line, flush=True)
    print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.3f}")


def addition(switched: bool) -> float:
    """Nanoseconds of torch.add of 64 elements, the fastest of 50 runs of 2 000."""
    if switched:
        torchext.patch()
        torchext.unpatch()
    x = torch.ones(64)
    times = 2_000
    return min(sample(lambda: torch.add(x, x), times) for _ in range(50)) * 1e9


def switched_off(rounds: int) -> None:
    found: dict[str, float] = {}
    for _ in range(rounds):
        for state in ("never", "off"):
            found[state] = min(found.get(state, math.inf), in_process("--addition", state))
    print(f"add of 64 elements: {found['never']:.0f} ns never patched, {found['off']:.0f} ns switched off:", end=" ")
    print(f"{found['off'] / found['never'] - 1:+.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"default all of {', '.join({**TRAINED, **TRANSFORMERS})}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=("train", "inference", "off", "all"), default="all")
    parser.add_argument("--compile", action="store_true", help="also under torch.compile")
    parser.add_argument("--limit", action="store_true", help="also what the operators of a step cannot go below")
    parser.add_argument("--preload", help="library of another allocator, for LD_PRELOAD")
    parser.add_argument("--explain", action="store_true", help="also what torchext.explain() predicts of inference")
    parser.add_argument("--addition", choices=("never", "off"), help=argparse.SUPPRESS)
    parser.add_argument("--peak", choices=STATES, help=argparse.SUPPRESS)
    parser.add_argument("--over-patched", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := [name for name in options.models if name not in {**TRAINED, **TRANSFORMERS}]:
        parser.error(f"unknown models: {', '.join(unknown)}")
    if options.peak:
        print(peak_bytes(options.models[0], options.peak))
        return
    if options.addition:
        print(addition(options.addition == "off"))
        return
    if options.over_patched:
        step = trainer(options.models[0], True)  # stock: what is preloaded serves its memory
        ms = alternate({"stock": step, "patched": step}, options.rounds)
        print(ms["stock"] / ms["patched"])
        return
    print(f"torchext {torchext.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    chosen = options.models or list({**TRAINED, **TRANSFORMERS})
    if options.mode in ("train", "all"):
        train([name for name in chosen if name in TRAINED], options)
    if options.mode in ("inference", "all"):
        infer([name for name in chosen if name in TRANSFORMERS], options)
    if options.mode in ("off", "all"):
        switched_off(options.rounds)


if __name__ == "__main__":
    main()
