"""`python -m torchext demo`: one small network on real handwritten digits, with stock PyTorch and with torchext.

Both networks start from the same weights and see the same batches. Epochs alternate, and so does the order within an
epoch, so that noise and clock changes of the machine hit both alike.
"""

from __future__ import annotations

import argparse
import copy
import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import torchext
import torchext.nn
from torchext._progress import Progress

WIDTH = 128
BATCH = 256
TRAINING_IMAGES = 1437  # 80 % of 1797
TOLERANCE = 1e-4  # relative difference of the mean training loss after the first epoch


def load_digits() -> tuple[Tensor, Tensor]:
    """The shipped images: pixels [1797, 64] float32 in 0..16, digits [1797] int64."""
    with (Path(__file__).parent / "datasets" / "digits.csv").open(encoding="ascii", newline="") as file:
        rows = torch.tensor([[int(value) for value in row] for row in csv.reader(file)])
    return rows[:, :64].float(), rows[:, 64]


class Network(nn.Module):
    """64 pixels -> four hidden layers -> log-probabilities of ten digits.

    `layers` is torch.nn or torchext.nn, `operators` is torch or torch.ops.rusttorch: the same names in both.
    """

    def __init__(self, layers: Any, operators: Any) -> None:
        super().__init__()
        self.operators = operators
        self.linear1, self.activation1 = nn.Linear(64, WIDTH), layers.Mish()
        self.linear2, self.activation2 = nn.Linear(WIDTH, WIDTH), layers.GELU(approximate="tanh")
        self.linear3, self.activation3 = nn.Linear(WIDTH, WIDTH), layers.Mish()
        self.linear4, self.activation4 = nn.Linear(WIDTH, WIDTH), layers.Tanh()
        self.linear5 = nn.Linear(WIDTH, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.operators.mul(pixels, 1 / 16)
        x = self.activation1(self.linear1(x))
        x = self.operators.add(x, self.activation2(self.linear2(x)))
        x = self.operators.add(x, self.activation3(self.linear3(x)))
        x = self.activation4(self.linear4(x))
        return self.operators.log_softmax(self.linear5(x), 1)


class Trainer:
    """A network, its optimizer, and what it has spent and reached so far."""

    def __init__(self, name: str, network: Network) -> None:
        self.name = name
        self.network = network
        self.optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, fused=True)
        self.seconds = 0.0
        self.losses: list[float] = []

    def train_epoch(self, pixels: Tensor, digits: Tensor, order: Tensor) -> None:
        """One pass over the training images in the given order; keeps the mean loss and adds to the time."""
        total = torch.zeros(())
        started = time.perf_counter()
        for batch in order.split(BATCH):
            self.optimizer.zero_grad()
            loss = nn.functional.nll_loss(self.network(pixels[batch]), digits[batch])
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(batch)
        self.seconds += time.perf_counter() - started
        self.losses.append(total.item() / len(order))

    @torch.no_grad()
    def accuracy(self, pixels: Tensor, digits: Tensor) -> float:
        return (self.network(pixels).argmax(1) == digits).float().mean().item()


def relative_difference(a: float, b: float) -> float:
    return abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0  # a NaN stays NaN, and no comparison accepts it


def main(arguments: argparse.Namespace) -> int:
    pixels, digits = load_digits()
    generator = torch.Generator().manual_seed(arguments.seed)
    shuffled = torch.randperm(len(digits), generator=generator)
    train, test = shuffled[:TRAINING_IMAGES], shuffled[TRAINING_IMAGES:]
    train_pixels, train_digits = pixels[train], digits[train]

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(arguments.seed)
        stock_network = Network(nn, torch)
    our_network = Network(torchext.nn, torch.ops.rusttorch)
    our_network.load_state_dict(stock_network.state_dict())
    stock, ours = Trainer("PyTorch", stock_network), Trainer("torchext", our_network)

    for trainer in (stock, ours):  # warm-up on copies: first calls allocate, wake threads and load code
        copied = copy.deepcopy(trainer.network.state_dict())
        Trainer(trainer.name, trainer.network).train_epoch(train_pixels, train_digits, torch.arange(TRAINING_IMAGES))
        trainer.network.load_state_dict(copied)

    print(
        f"{len(train)} training and {len(test)} test images, {WIDTH}-wide network of five layers, batch {BATCH}, "
        f"{arguments.epochs} epochs, {torch.get_num_threads()} threads"
    )
    progress = Progress(arguments.epochs)
    for epoch in range(1, arguments.epochs + 1):
        order = torch.randperm(TRAINING_IMAGES, generator=generator)
        for trainer in (stock, ours) if epoch % 2 else (ours, stock):
            trainer.train_epoch(train_pixels, train_digits, order)
        progress.show(
            epoch,
            f"epoch {epoch}/{arguments.epochs}  loss {stock.losses[-1]:.5f} | {ours.losses[-1]:.5f}  "
            f"time {stock.seconds:.2f} s | {ours.seconds:.2f} s",
        )

    print(f"\n{'':10}{'test accuracy':>15}{'loss, epoch 1':>15}{'last loss':>12}{'training time':>15}")
    for trainer in (stock, ours):
        print(
            f"{trainer.name:10}{trainer.accuracy(pixels[test], digits[test]):>15.2%}{trainer.losses[0]:>15.6f}"
            f"{trainer.losses[-1]:>12.6f}{trainer.seconds:>13.2f} s"
        )
    difference = relative_difference(stock.losses[0], ours.losses[0])
    print(f"\nTime of PyTorch / time of torchext: {stock.seconds / ours.seconds:.2f}")
    if not (difference <= TOLERANCE and math.isfinite(ours.losses[-1])):
        print(
            f"The losses disagree: {stock.losses[0]:.8f} and {ours.losses[0]:.8f} after the first epoch, relative "
            f"difference {difference:.1e}, allowed {TOLERANCE:.0e}. Please report this together with "
            "`python -m torchext info`.",
            file=sys.stderr,
        )
        return 1
    ran = sum(decisions["taken"] for decisions in torchext._C.counters().values())
    print(f"Kernels of torchext ran {ran} times ({torchext.isa.current()}).")
    print(f"The losses agree: relative difference {difference:.1e} after the first epoch (allowed {TOLERANCE:.0e}).")
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--epochs", type=_positive, default=60, metavar="N", help="default 60 (some ten seconds)")
    parser.add_argument("--seed", type=int, default=0, help="of the weights, the split and the order of batches")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value
