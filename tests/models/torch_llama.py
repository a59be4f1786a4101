"""Llama's equations in torch, written from the paper, under the names of Hugging Face's weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def norm(d):
    return nn.RMSNorm(d, eps=1e-6)


def rotated(x, theta):
    """(b, t, h, k): the pair (x_i, x_i+k/2) as a complex number, turned by t theta^(-2i/k)."""
    half = x.shape[-1] // 2
    rates = theta ** (-torch.arange(half, dtype=x.dtype) / half)
    angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * rates
    z = torch.complex(x[..., :half], x[..., half:]) * torch.polar(torch.ones_like(angles), angles)[:, None]
    return torch.cat([z.real, z.imag], -1)


class Attention(nn.Module):
    def __init__(self, d, heads, groups, theta):
        super().__init__()
        self.heads, self.groups, self.k, self.theta = heads, groups, d // heads, theta
        self.q_proj, self.o_proj = (nn.Linear(d, d, bias=False) for _ in range(2))
        self.k_proj, self.v_proj = (nn.Linear(d, groups * self.k, bias=False) for _ in range(2))

    def forward(self, x):
        b, t, d = x.shape
        q = rotated(self.q_proj(x).reshape(b, t, self.heads, self.k), self.theta)
        k = rotated(self.k_proj(x).reshape(b, t, self.groups, self.k), self.theta)
        v = self.v_proj(x).reshape(b, t, self.groups, self.k)
        k, v = (a.repeat_interleave(self.heads // self.groups, 2) for a in (k, v))
        scores = torch.einsum("bthk,bshk->bhts", q, k) / math.sqrt(self.k)
        scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -torch.inf)
        return self.o_proj(torch.einsum("bhts,bshk->bthk", scores.softmax(-1), v).reshape(b, t, d))


class FeedForward(nn.Module):
    def __init__(self, d, hidden):
        super().__init__()
        self.gate_proj, self.up_proj = (nn.Linear(d, hidden, bias=False) for _ in range(2))
        self.down_proj = nn.Linear(hidden, d, bias=False)

    def forward(self, x):
        return self.down_proj(nn.functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, d, heads, groups, hidden, theta):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = norm(d), norm(d)
        self.self_attn, self.mlp = Attention(d, heads, groups, theta), FeedForward(d, hidden)

    def forward(self, x):
        x = x + self.self_attn(self.input_layernorm(x))
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    """From what a config.json says."""

    def __init__(self, config):
        super().__init__()
        d, heads, groups = (config[f] for f in ("hidden_size", "num_attention_heads", "num_key_value_heads"))
        layer = (d, heads, groups, config["intermediate_size"], config["rope_theta"])
        self.model = nn.Module()
        self.model.embed_tokens, self.model.norm = nn.Embedding(config["vocab_size"], d), norm(d)
        self.model.layers = nn.ModuleList(Layer(*layer) for _ in range(config["num_hidden_layers"]))
        self.lm_head = nn.Linear(d, config["vocab_size"], bias=False)

    def forward(self, tokens):
        x = self.model.embed_tokens(tokens)
        for layer in self.model.layers:
            x = layer(x)
        return self.lm_head(self.model.norm(x))
