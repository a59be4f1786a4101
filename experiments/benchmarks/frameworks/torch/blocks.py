"""A transformer's block and the decoder in torch, for training and with keys and values kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.torch.training import DEVICE, tensors
from experiments.benchmarks.measure import Built, likeliest


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int, *, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, cache=None, start=0):
        """With a cache, keys and values (2, b, heads, t, head), x are the tokens at start..."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache[0, :, :, start : start + t], cache[1, :, :, start : start + t] = k, v
            k, v = cache[:, :, :, : start + t]
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=self.causal and t > 1)
        x = x + self.o(mixed.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    """The decoder, its read-out tied to the token table."""

    def __init__(self, size: problems.Transformer):
        super().__init__()
        self.tokens = nn.Embedding(size.vocab, size.width)
        self.positions = nn.Parameter(torch.randn(size.tokens, size.width) * 0.02)
        nn.init.normal_(self.tokens.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(size.width, size.heads, causal=True) for _ in range(size.layers))
        self.norm = nn.LayerNorm(size.width)

    def forward(self, tokens, caches=None, start=0):
        x = self.tokens(tokens) + self.positions[start : start + tokens.shape[1]]
        for i, block in enumerate(self.blocks):
            x = block(x, None if caches is None else caches[i], start)
        return F.linear(self.norm(x), self.tokens.weight)


@torch.inference_mode()
def write(model: Gpt, prompt: torch.Tensor, size: problems.Transformer) -> torch.Tensor:
    """The prompt at once, then token by token."""
    shape = (size.layers, 2, len(prompt), size.heads, size.tokens, size.width // size.heads)
    caches, tokens, start = torch.empty(shape, device=DEVICE), [prompt], 0
    for _ in range(size.tokens - prompt.shape[1]):
        logits = model(tokens[-1], caches, start)
        start += tokens[-1].shape[1]
        tokens.append(logits[:, -1:].argmax(-1))
    return torch.cat(tokens, 1)


def decode() -> Built:
    size, prompt = problems.DECODERS["decode"], tensors("decode")["x"].long()
    model, start = Gpt(size).to(DEVICE), prompt.shape[1]

    @torch.inference_mode()
    def check(first: float, last: float) -> None:
        tokens = write(model, prompt, size)
        likeliest(tokens.cpu(), model(tokens).cpu(), start)

    count = sum(p.numel() for p in model.parameters())
    step = lambda: write(model, prompt, size)
    return Built(step, lambda tokens: float(tokens[0, -1]), count, size.tokens - start, check)
