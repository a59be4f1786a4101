"""The translator of `experiments.translate` in PyTorch, on the same pairs and in the same order.

Run       python -m experiments.peers.torch_translate [--seeds 1]
Prints    one line of JSON a seed: BLEU and chrF of the held-out pages, seconds of the wall and of the processor. Needs
          torch.

The network is `nn.Transformer` with dropout where jnn's has it; its attention has biases besides, which jnn's has not.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from experiments.peers.command import Clock, data_needed, options, parsed, tell
from experiments.translate import END, LONGEST, PAD, START, Config, prepared, scores
from jnn.data import Batches, Tokenizer, libreoffice_en_de


class Translator(nn.Module):
    """Encoder-decoder with one table of embeddings, norms before the branches, and sines for positions."""

    def __init__(self, vocab: int, config: Config) -> None:
        super().__init__()
        d, rate, layers = config.embed, config.dropout, config.layers
        self.embed = nn.Embedding(vocab, d)
        nn.init.normal_(self.embed.weight, std=d**-0.5)  # as tied read-outs need; torch's own is normal(0, 1)
        self.dropout = nn.Dropout(rate)
        how = {"dropout": rate, "batch_first": True, "norm_first": True}
        layer = nn.TransformerEncoderLayer(d, config.heads, config.hidden, **how)
        encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(d), enable_nested_tensor=False)
        self.inner = nn.Transformer(d, config.heads, layers, layers, config.hidden, custom_encoder=encoder, **how)
        for layer in (*self.inner.encoder.layers, *self.inner.decoder.layers):
            layer.dropout.p = 0.0  # within the feed-forward network
            for part in layer.children():
                if isinstance(part, nn.MultiheadAttention):
                    part.dropout = 0.0
        angles = torch.arange(LONGEST)[:, None] * 10_000.0 ** (-torch.arange(d // 2) / (d // 2))
        self.register_buffer("position", torch.stack([angles.sin(), angles.cos()], -1).flatten(1), persistent=False)

    def rows(self, tokens: Tensor) -> Tensor:
        """Embedded tokens (b, t) where they stand."""
        x = self.embed(tokens) * math.sqrt(self.embed.embedding_dim)
        return self.dropout(x + self.position[: tokens.shape[1]])

    def read(self, source: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's rows, and where they are padding."""
        padding = torch.arange(source.shape[1]) >= length[:, None]
        return self.inner.encoder(self.rows(source), src_key_padding_mask=padding), padding

    def write(self, target: Tensor, memory: Tensor, padding: Tensor) -> Tensor:
        """The decoder's rows (b, t, d)."""
        future = nn.Transformer.generate_square_subsequent_mask(target.shape[1], dtype=torch.bool)
        return self.inner.decoder(
            self.rows(target), memory, tgt_mask=future, tgt_is_causal=True, memory_key_padding_mask=padding
        )

    def forward(self, source: Tensor, length: Tensor, target: Tensor) -> Tensor:
        """Logits (b, t, vocab) of the token after each of the target."""
        return self.write(target, *self.read(source, length)) @ self.embed.weight.T


def rate_at(step: int, config: Config) -> float:
    """The schedule's learning rate: up from 0, and down to it along a cosine."""
    if step < config.warmup:
        return config.learning_rate * step / config.warmup
    done = (step - config.warmup) / (config.steps - config.warmup)
    return config.learning_rate * (1 + math.cos(math.pi * done)) / 2


def train(config: Config, vocab: int, pairs: dict[str, np.ndarray]) -> Translator:
    """The network after all steps of Adam."""
    torch.manual_seed(config.seed)
    network = Translator(vocab, config).train()
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.98), eps=1e-9)
    batches = Batches(pairs, config.batch_size, seed=config.seed)
    for step in range(config.steps):
        batch = batches[step]
        source, length, target = (torch.from_numpy(batch[name]).long() for name in ("x", "length", "y"))
        wanted = torch.where(torch.from_numpy(batch["weight"])[:, None] > 0, target[:, 1:], PAD)
        logits = network(source, length, target[:, :-1])
        loss = F.cross_entropy(
            logits.flatten(0, 1), wanted.flatten(), ignore_index=PAD, label_smoothing=config.smoothing
        )
        optimizer.param_groups[0]["lr"] = rate_at(step, config)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    return network


@torch.no_grad()
def translate(network: Translator, tokenizer: Tokenizer, texts: list[str], rows: int = 128) -> list[str]:
    """The likeliest token after the likeliest, sentences of about one length together."""
    network.eval()
    ids = [torch.from_numpy(own[:LONGEST]).long() for own in tokenizer.encode_all(texts)]
    order, found = np.argsort([len(own) for own in ids], kind="stable"), {}
    for at in range(0, len(order), rows):
        some = order[at : at + rows]
        source = nn.utils.rnn.pad_sequence([ids[row] for row in some], batch_first=True, padding_value=PAD)
        seen = network.read(source, torch.tensor([len(ids[row]) for row in some]))
        written = torch.full((len(some), 1), START)
        while written.shape[1] < LONGEST and not (written == END).any(1).all():
            last = network.write(written, *seen)[:, -1] @ network.embed.weight.T
            written = torch.cat([written, last.argmax(-1, keepdim=True)], 1)
        for row, tokens in zip(some, written[:, 1:].tolist(), strict=True):
            found[row] = tokenizer.decode(tokens[: tokens.index(END)] if END in tokens else tokens)
    return [found[row] for row in range(len(texts))]


def main() -> None:
    given = parsed(options(__doc__, seeds=1, threads=2))
    with data_needed():
        tokenizer, pairs, _ = prepared(Config(data_dir=given["data_dir"]))
        english, german = libreoffice_en_de(given["data_dir"], "test")
    for seed in range(given["seeds"]):
        clock = Clock()
        network = train(Config(seed=seed), len(tokenizer), pairs)
        found = scores(translate(network, tokenizer, english), german)
        tell({"peer": "translate", "seed": seed}, found | clock.seconds(), 2)


if __name__ == "__main__":
    main()
