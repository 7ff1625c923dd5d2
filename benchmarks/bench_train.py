"""Whole training steps of small language models, stock and with torchext: python benchmarks/bench_train.py

The models are transformers' own code with random weights (nothing is downloaded; pip install transformers), float32,
trained with AdamW on random tokens: GPT-2 and Llama to predict the next one, BERT to classify. Steps with and without
torchext alternate in one process; peak memory comes from a process of its own for each.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

import torchext

Model = tuple[torch.nn.Module, torch.Tensor, torch.Tensor]  # with the token ids and the labels of a step


def gpt2() -> Model:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(n_layer=4, n_head=6, n_embd=384, vocab_size=50257, n_positions=256)
    tokens = torch.randint(50257, (4, 256))
    return GPT2LMHeadModel(config), tokens, tokens


def bert() -> Model:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(num_hidden_layers=4, num_attention_heads=6, hidden_size=384, intermediate_size=1536)
    return BertForSequenceClassification(config), torch.randint(config.vocab_size, (8, 128)), torch.randint(2, (8,))


def llama() -> Model:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=4, num_attention_heads=6, hidden_size=384, intermediate_size=1536, vocab_size=32000
    )
    tokens = torch.randint(32000, (4, 256))
    return LlamaForCausalLM(config), tokens, tokens


MODELS: dict[str, Callable[[], Model]] = {"gpt2": gpt2, "bert": bert, "llama": llama}


def stepper(name: str) -> Callable[[], float]:
    """A training step that returns its loss."""
    torch.manual_seed(0)
    model, tokens, labels = MODELS[name]()
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> float:
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=labels).loss
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def use(pooled: bool) -> None:
    (torchext.memory.install if pooled else torchext.memory.uninstall)()


def times(name: str, rounds: int) -> dict[bool, float]:
    """Median seconds of a step, stock (False) and pooled (True), in turns of two steps of which the second counts."""
    step = stepper(name)
    samples: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for pooled in samples:
            use(pooled)
            step()
            started = time.perf_counter()
            step()
            samples[pooled].append(time.perf_counter() - started)
    return {pooled: statistics.median(values) for pooled, values in samples.items()}


def peak_bytes(name: str, pooled: bool, steps: int) -> int:
    """Largest resident memory of a process that takes some steps."""
    arguments = [sys.executable, __file__, name, "--peak", str(int(pooled)), "--rounds", str(steps)]
    return int(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", choices=(*MODELS, []), default=[], help="default all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak is not None:
        use(bool(arguments.peak))
        step = stepper(arguments.models[0])
        for _ in range(arguments.rounds):
            step()
        # Not getrusage: its maximum starts from the parent's.
        with open("/proc/self/status") as file:
            print(next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM")))
        return
    print(f"torchext {torchext.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'step':8} {'stock ms':>9} {'pooled ms':>9} {'ratio':>6} {'stock MB':>9} {'pooled MB':>9} {'ratio':>6}")
    for name in arguments.models or MODELS:
        seconds = times(name, arguments.rounds)
        peaks = {pooled: peak_bytes(name, pooled, 4) for pooled in (False, True)}
        print(
            f"{name:8} {seconds[False] * 1e3:9.0f} {seconds[True] * 1e3:9.0f} {seconds[False] / seconds[True]:6.2f} "
            f"{peaks[False] / 1e6:9.0f} {peaks[True] / 1e6:9.0f} {peaks[True] / peaks[False]:6.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
