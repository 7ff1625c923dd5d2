"""Real models with random weights, for the benchmarks of whole steps and the tests of patching: nothing is downloaded.

Each function gives a model and the keywords of one call, whose output has a ``loss``. The code is transformers', but
for the networks written out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

Built = tuple[nn.Module, dict[str, Any]]


@dataclass(frozen=True)
class Scale:
    """How large the models are."""

    width: int  # of the hidden states
    layers: int
    heads: int
    words: int  # of a vocabulary, at most
    rows: int  # of a batch
    tokens: int  # in a row

    def config(self, words: int | None = None) -> dict[str, int]:
        """What most configurations of transformers call it."""
        sizes = {
            "hidden_size": self.width, "intermediate_size": 4 * self.width, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
        }  # fmt: skip
        return sizes if words is None else {**sizes, "vocab_size": min(words, self.words)}

    def text(self, words: int) -> Tensor:
        """Random tokens of a vocabulary of that size."""
        return torch.randint(min(words, self.words), (self.rows, self.tokens))


LARGE = Scale(width=384, layers=4, heads=6, words=100_000, rows=4, tokens=256)
SMALL = Scale(width=32, layers=2, heads=4, words=211, rows=2, tokens=12)


def gpt2(scale: Scale = LARGE) -> Built:
    from transformers import GPT2Config, GPT2LMHeadModel

    text = scale.text(50257)
    config = GPT2Config(
        n_layer=scale.layers, n_head=scale.heads, n_embd=scale.width, vocab_size=min(50257, scale.words),
        n_positions=scale.tokens, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(config), {"input_ids": text, "labels": text}


def bert(scale: Scale = LARGE) -> Built:
    from transformers import BertConfig, BertForSequenceClassification

    text = scale.text(30522).reshape(2 * scale.rows, scale.tokens // 2)
    labels = torch.randint(2, (len(text),))
    return BertForSequenceClassification(BertConfig(**scale.config(30522))), {"input_ids": text, "labels": labels}


def llama(scale: Scale = LARGE) -> Built:
    from transformers import LlamaConfig, LlamaForCausalLM

    text = scale.text(32000)
    return LlamaForCausalLM(LlamaConfig(**scale.config(32000))), {"input_ids": text, "labels": text}


def vit(scale: Scale = LARGE) -> Built:
    from transformers import ViTConfig, ViTForImageClassification

    side = 224 if scale is LARGE else 32
    pixels, labels = torch.randn(2 * scale.rows, 3, side, side), torch.randint(2, (2 * scale.rows,))
    config = ViTConfig(**scale.config(), image_size=side, patch_size=16 if scale is LARGE else 8)
    return ViTForImageClassification(config), {"pixel_values": pixels, "labels": labels}


def t5(scale: Scale = LARGE) -> Built:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(
        d_model=scale.width, d_kv=scale.width // scale.heads, d_ff=4 * scale.width, num_layers=scale.layers,
        num_heads=scale.heads, vocab_size=min(32128, scale.words), decoder_start_token_id=0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), {"input_ids": scale.text(32000), "labels": scale.text(32000)}


class WithMeanSquare(nn.Module):
    """A model without a loss of its own, whose first output shall be small."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.body(x)[0]
        # Not towards zero: the mean square of a normalised output is a constant.
        return {"loss": nn.functional.mse_loss(hidden, hidden.detach().roll(1, -1)), "hidden": hidden}


def whisper(scale: Scale = LARGE) -> Built:
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    positions = 1500 if scale is LARGE else 20
    config = WhisperConfig(
        d_model=scale.width, encoder_layers=scale.layers, encoder_attention_heads=scale.heads,
        encoder_ffn_dim=4 * scale.width, max_source_positions=positions,
    )  # fmt: skip
    return WithMeanSquare(WhisperEncoder(config)), {"x": torch.randn(1, 80, 2 * positions)}


def distilbert(scale: Scale = LARGE) -> Built:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    text = scale.text(30522)
    config = DistilBertConfig(
        dim=scale.width, hidden_dim=4 * scale.width, n_layers=scale.layers, n_heads=scale.heads,
        vocab_size=min(30522, scale.words),
    )  # fmt: skip
    return DistilBertForMaskedLM(config), {"input_ids": text, "labels": text}


def mixtral(scale: Scale = LARGE) -> Built:
    from transformers import MixtralConfig, MixtralForCausalLM

    text = scale.text(32000)
    config = MixtralConfig(**scale.config(32000), num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2)
    return MixtralForCausalLM(config), {"input_ids": text, "labels": text}


class Classifier(nn.Module):
    """Logits of a body, and their cross entropy."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.body(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        same = inputs == outputs
        self.first = nn.Conv2d(inputs, outputs, 3, 1 if same else 2, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.shortcut(x))


def resnet18(scale: Scale = LARGE) -> Built:
    width, side = (64, 224) if scale is LARGE else (8, 64)
    widths = [width * factor for factor in (1, 1, 1, 2, 2, 4, 4, 8, 8)]
    body = nn.Sequential(
        nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1), *(Residual(a, b) for a, b in pairwise(widths)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8 * width, 10),
    )  # fmt: skip
    x, labels = torch.randn(scale.rows, 3, side, side), torch.randint(10, (scale.rows,))
    return Classifier(body), {"x": x, "labels": labels}


class LastState(nn.Module):
    """An LSTM over embedded words, and a linear layer on its last state."""

    def __init__(self, words: int, width: int) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(words, width), nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


def lstm(scale: Scale = LARGE) -> Built:
    words, width, shape = (20_000, 128, (32, 64)) if scale is LARGE else (200, 16, (2, 12))
    labels = torch.randint(4, shape[:1])
    return Classifier(LastState(words, width)), {"x": torch.randint(words, shape), "labels": labels}


def mlp(scale: Scale = LARGE) -> Built:
    body = nn.Sequential(nn.Linear(64, 128), nn.Mish(), nn.Linear(128, 10))
    return Classifier(body), {"x": torch.randn(32, 64), "labels": torch.randint(10, (32,))}


class Elementwise(nn.Module):
    """Wide layers with mish, a softmax policy and BCE: time goes to the functions, not to the products."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.policy, self.gate = nn.Linear(32, 1024), nn.Linear(1024, 256), nn.Linear(1024, 256)

    def forward(self, x: Tensor, actions: Tensor, labels: Tensor) -> dict[str, Tensor]:
        hidden = nn.functional.mish(self.first(x))
        logits = self.policy(hidden)
        entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1).mean()
        chosen = nn.functional.nll_loss(logits.log_softmax(-1), actions)
        gate = nn.functional.binary_cross_entropy(torch.sigmoid(self.gate(hidden)), labels)
        return {"loss": chosen + gate - 0.01 * entropy, "logits": logits}


def elementwise(scale: Scale = LARGE) -> Built:
    rows = 1024 if scale is LARGE else 4
    return Elementwise(), {
        "x": torch.randn(rows, 32), "actions": torch.randint(256, (rows,)), "labels": torch.rand(rows, 256),
    }  # fmt: skip


TRANSFORMERS: dict[str, Callable[..., Built]] = {
    make.__name__: make for make in (gpt2, bert, llama, vit, t5, whisper, distilbert, mixtral)
}
TRAINED: dict[str, Callable[..., Built]] = {make.__name__: make for make in (gpt2, bert, llama, mlp, lstm, elementwise)}
TESTED: dict[str, Callable[..., Built]] = {**TRANSFORMERS, "resnet18": resnet18, **TRAINED}
