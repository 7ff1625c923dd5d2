"""Small real models with random weights, made from configurations: name -> (model, keywords of one training call)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

Built = tuple[nn.Module, dict[str, Any]]
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
WORDS = {"vocab_size": 211, **SIZES}


def tokens(rows: int = 2, columns: int = 12) -> Tensor:
    return torch.randint(5, 200, (rows, columns))


def gpt2() -> Built:
    from transformers import GPT2Config, GPT2LMHeadModel

    ids = tokens()
    config = GPT2Config(vocab_size=211, n_embd=32, n_layer=2, n_head=4, n_positions=16)
    return GPT2LMHeadModel(config), {"input_ids": ids, "labels": ids}


def bert() -> Built:
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(BertConfig(**WORDS)), {"input_ids": tokens(), "labels": torch.tensor([0, 1])}


def distilbert() -> Built:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    ids = tokens()
    config = DistilBertConfig(vocab_size=211, dim=32, hidden_dim=64, n_layers=2, n_heads=4)
    return DistilBertForMaskedLM(config), {"input_ids": ids, "labels": ids}


def llama() -> Built:
    from transformers import LlamaConfig, LlamaForCausalLM

    ids = tokens()
    return LlamaForCausalLM(LlamaConfig(**WORDS)), {"input_ids": ids, "labels": ids}


def mixtral() -> Built:
    from transformers import MixtralConfig, MixtralForCausalLM

    ids = tokens()
    config = MixtralConfig(**WORDS, num_key_value_heads=2, num_local_experts=3, num_experts_per_tok=2)
    return MixtralForCausalLM(config), {"input_ids": ids, "labels": ids}


def t5() -> Built:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(vocab_size=211, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=0)
    return T5ForConditionalGeneration(config), {"input_ids": tokens(), "labels": tokens(2, 7)}


def vit() -> Built:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(**SIZES, image_size=32, patch_size=8)
    pixels, labels = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
    return ViTForImageClassification(config), {"pixel_values": pixels, "labels": labels}


def whisper() -> Built:
    """The encoder, which has no loss of its own: the mean square of its output serves."""
    from transformers import WhisperConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = WhisperConfig(
        d_model=32, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=64, num_mel_bins=16,
        max_source_positions=20,
    )  # fmt: skip
    return WhisperEncoder(config), {"input_features": torch.randn(2, 16, 40)}


class Residual(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        plain = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if plain else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.first(x)))
        return torch.relu(self.norm2(self.second(y)) + self.shortcut(x))


class Classifier(nn.Module):
    """Any body that gives [N, classes] logits, with cross entropy as loss."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.body(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def resnet18() -> Built:
    widths = [8, 8, 8, 16, 16, 32, 32, 64, 64]
    blocks = [Residual(a, b, 1 if a == b else 2) for a, b in pairwise(widths)]
    body = nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip
    return Classifier(body), {"x": torch.randn(2, 3, 64, 64), "labels": torch.tensor([3, 7])}


class LstmBody(nn.Module):
    """Embedding, LSTM, last state, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(211, 16)
        self.lstm = nn.LSTM(16, 24, batch_first=True)
        self.head = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


def lstm() -> Built:
    return Classifier(LstmBody()), {"x": tokens(), "labels": torch.tensor([1, 3])}


MODELS: dict[str, Callable[[], Built]] = {
    make.__name__: make for make in (gpt2, bert, llama, vit, t5, whisper, distilbert, mixtral, resnet18, lstm)
}
