"""Models for the benchmarks of whole steps: transformers' own code with random weights, and small networks.

Each entry gives a model and the keywords of one call, whose output has a ``loss``. Nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Built = tuple[nn.Module, dict[str, Any]]
SIZES = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 4, "num_attention_heads": 6}


def gpt2() -> Built:
    from transformers import GPT2Config, GPT2LMHeadModel

    tokens = torch.randint(50257, (4, 256))
    config = GPT2Config(n_layer=4, n_head=6, n_embd=384, vocab_size=50257, n_positions=256)
    return GPT2LMHeadModel(config), {"input_ids": tokens, "labels": tokens}


def bert() -> Built:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**SIZES)
    return BertForSequenceClassification(config), {
        "input_ids": torch.randint(config.vocab_size, (8, 128)), "labels": torch.randint(2, (8,)),
    }  # fmt: skip


def llama() -> Built:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokens = torch.randint(32000, (4, 256))
    return LlamaForCausalLM(LlamaConfig(**SIZES, vocab_size=32000)), {"input_ids": tokens, "labels": tokens}


def distilbert() -> Built:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    tokens = torch.randint(30522, (4, 128))
    config = DistilBertConfig(dim=384, hidden_dim=1536, n_layers=4, n_heads=6)
    return DistilBertForMaskedLM(config), {"input_ids": tokens, "labels": tokens}


def vit() -> Built:
    from transformers import ViTConfig, ViTForImageClassification

    pixels, labels = torch.randn(8, 3, 224, 224), torch.randint(2, (8,))
    return ViTForImageClassification(ViTConfig(**SIZES)), {"pixel_values": pixels, "labels": labels}


def t5() -> Built:
    from transformers import T5Config, T5ForConditionalGeneration

    config = T5Config(d_model=384, d_kv=64, d_ff=1536, num_layers=4, num_heads=6, decoder_start_token_id=0)
    tokens = torch.randint(32000, (4, 128))
    return T5ForConditionalGeneration(config), {"input_ids": tokens, "labels": tokens}


class WhisperLoss(nn.Module):
    """Whisper's encoder with a loss."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        self.encoder = WhisperEncoder(
            WhisperConfig(d_model=384, encoder_layers=4, encoder_attention_heads=6, encoder_ffn_dim=1536)
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(x)[0]
        return {"loss": nn.functional.mse_loss(hidden, torch.zeros_like(hidden)), "hidden": hidden}


def whisper() -> Built:
    return WhisperLoss(), {"x": torch.randn(1, 80, 3000)}


def mixtral() -> Built:
    from transformers import MixtralConfig, MixtralForCausalLM

    tokens = torch.randint(32000, (2, 128))
    config = MixtralConfig(**SIZES, num_key_value_heads=2, num_local_experts=4, num_experts_per_tok=2, vocab_size=32000)
    return MixtralForCausalLM(config), {"input_ids": tokens, "labels": tokens}


class Classifier(nn.Module):
    """Logits of a body, and their cross entropy."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.body(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def mlp() -> Built:
    body = nn.Sequential(nn.Linear(64, 128), nn.Mish(), nn.Linear(128, 10))
    return Classifier(body), {"x": torch.randn(32, 64), "labels": torch.randint(10, (32,))}


class LastState(nn.Module):
    """An LSTM over embedded words, and a linear layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.lstm = nn.Embedding(20_000, 128), nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Linear(128, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(self.embedding(x))[0][:, -1])


def lstm() -> Built:
    return Classifier(LastState()), {"x": torch.randint(20_000, (32, 64)), "labels": torch.randint(4, (32,))}


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


def elementwise() -> Built:
    return Elementwise(), {
        "x": torch.randn(1024, 32), "actions": torch.randint(256, (1024,)), "labels": torch.rand(1024, 256),
    }  # fmt: skip


TRAINED: dict[str, Callable[[], Built]] = {make.__name__: make for make in (gpt2, bert, llama, mlp, lstm, elementwise)}
TRANSFORMERS: dict[str, Callable[[], Built]] = {
    make.__name__: make for make in (gpt2, bert, llama, vit, t5, whisper, distilbert, mixtral)
}
