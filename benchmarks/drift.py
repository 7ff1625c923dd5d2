"""How far 200 patched training steps drift from stock ones: python benchmarks/drift.py [steps]

Rounding errors grow with every step, so two stock runs with other numbers of threads drift apart, too, because sums are
split otherwise. A patched run should stay near that spread. A GPT-2 of 2 layers of 64, AdamW, the same random batches.
"""

from __future__ import annotations

import sys

import torch

import torchext


def losses(steps: int, threads: int, patched: bool) -> torch.Tensor:
    """The loss of every step, float64."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=512, n_embd=64, n_layer=2, n_head=4, n_positions=64, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = torch.randint(512, (8, 4, 64))
    if patched:
        torchext.patch(memory=False)
    found = []
    for step in range(steps):
        tokens = batches[step % len(batches)]
        loss = model(input_ids=tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    torchext.unpatch()
    return torch.tensor(found, dtype=torch.float64)


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    threads = max(2, torch.get_num_threads())
    stock = losses(steps, threads, False)
    others = {
        f"stock, {threads} threads again": losses(steps, threads, False),
        "stock, 1 thread": losses(steps, 1, False),
        f"patched, {threads} threads": losses(steps, threads, True),
        "patched, 1 thread": losses(steps, 1, True),
    }
    print(f"loss {stock[0]:.4f} -> {stock[-1]:.4f} in {steps} steps; relative distance from stock, {threads} threads:")
    for name, found in others.items():
        distance = (found - stock).abs() / stock
        print(f"  {name:24} largest {distance.max():.1e}, last 10 steps {distance[-10:].mean():.1e}")


if __name__ == "__main__":
    main()
