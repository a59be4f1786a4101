"""Small decoders for tests: learned positions; rotary ones with grouped queries and no bias; what Llama's file says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.models import transformer_spec

LEARNED = transformer_spec(11, 8, layers=2, heads=2, embed=8)
ROTARY = transformer_spec(11, None, layers=2, heads=2, embed=8, kv_heads=1, bias=False)
TINY = {
    **{"vocab_size": 11, "hidden_size": 8, "intermediate_size": 12, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"num_key_value_heads": 2, "rope_theta": 100.0, "rms_norm_eps": 1e-6, "hidden_act": "silu"},
}
VARIANTS = pytest.mark.parametrize("spec", [LEARNED, ROTARY], ids=["learned", "rotary-grouped"])


def numbers(spec, scale=0.3):
    """Normal params, made without a program."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda param: jnp.asarray(scale * rng.normal(size=param.shape), jnp.float32), spec)


def moved(spec, scale=0.2):
    """Params away from their small initial values, so that every layer matters."""
    wave = lambda x: scale * np.cos(np.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    return jax.tree.map(lambda x: jnp.asarray(np.asarray(x) + wave(x)), jnn.init(spec, jax.random.key(0)))
