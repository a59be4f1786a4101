"""Decoders of any width, by muP, and how they are trained: for `experiments.scaling`.

Decoder(vocab, width)       its spec, how many parameters it has, its loss, Adam, and what a token costs

Law: one learning rate is every width's.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

import jnn
from jnn.initializers import lecun_normal, normal
from jnn.inspect import flops
from jnn.maximal_update import multiplied, scale_by_rates
from jnn.models import transformer, transformer_spec
from jnn.train import LossOutput

HEAD, LAYERS, BASE = 8, 2, 32  # the last is the width that the rate is of
WARM = 0.1  # share of the steps


def declared(vocab: int, width: int) -> Any:
    """Declares a decoder whose maps keep the size of what they take: GPT-2's normal(0.02) is of wider ones."""
    spec = transformer_spec(vocab, None, layers=LAYERS, heads=width // HEAD, embed=width, bias=False)
    drawn = lambda init: lambda p: dataclasses.replace(p, init=init) if p.fan_in else p
    embed = jax.tree.map(drawn(normal(BASE**-0.5)), spec["embed"])
    return spec | {"embed": embed, "blocks": jax.tree.map(drawn(lecun_normal), spec["blocks"])}


class Decoder:
    """A decoder of some width, by muP, and how it is trained."""

    def __init__(self, vocab: int, width: int) -> None:
        self.scaled = jnn.mup(declared(vocab, width), declared(vocab, BASE), readout=("norm/*",))
        self.params = jnn.count_params(self.scaled.spec)

    def loss(self, params: Any, batch: Any, ctx: Any) -> LossOutput:
        """Cross-entropy of the next character."""
        logits = transformer(multiplied(params, self.scaled.multipliers), batch["x"], key=None, remat=None)
        return LossOutput(jnn.losses.cross_entropy(logits, batch["y"]), batch["weight"])

    def adam(self, h: Any) -> optax.GradientTransformation:
        """Adam whose rate rises, and falls to 0 at the end of the run, which is a hyperparameter."""
        share = lambda step: jnp.minimum((step + 1) / (WARM * h["steps"]), (1 - step / h["steps"]) / (1 - WARM))
        return optax.chain(
            optax.scale_by_adam(b2=0.99),
            scale_by_rates(self.scaled.rates),
            optax.scale_by_learning_rate(lambda step: h["learning_rate"] * jnp.clip(share(step), 0, 1)),
        )

    def flops(self, batch: Any) -> float:
        """FLOPs of a gradient, as counted, for each parameter and token: 6 by the rule."""
        gradient = jax.grad(lambda params: self.loss(params, batch, None).values.sum())
        return flops(gradient, jnn.abstract(self.scaled.spec)).model / self.params / batch["x"].size
