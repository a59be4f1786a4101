"""Adapters and prefixes: where a model reads them, and what it is before they have learned anything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn import layers
from jnn.finetune import adapters_spec, prefixes_spec, with_parts
from jnn.models import cached_block, transformer_block, transformer_block_spec

KEY = jax.random.key(0)
BLOCK = transformer_block_spec(8, 2, 12)
X = jax.random.normal(jax.random.key(1), (2, 6, 8))


def test_a_block_begins_as_it_was_behind_adapters_and_reads_them_in_pieces_too():
    p, spec = jnn.init(BLOCK, KEY), adapters_spec(BLOCK, 3)
    apply = jax.jit(lambda p: transformer_block(p, X, key=None))
    np.testing.assert_array_equal(apply(with_parts(p, jnn.init(spec, KEY))), apply(p))
    moved = with_parts(p, jax.tree.map(lambda x: x + 0.2, jnn.init(spec, KEY)))
    cache = layers.attention_cache(moved["attention"], 6, leading=(2,))
    half = jax.jit(cached_block)
    first, cache = half(moved, X[:, :3], cache)
    last, _ = half(moved, X[:, 3:], cache)
    np.testing.assert_allclose(jnp.concatenate([first, last], 1), apply(moved), rtol=1e-5, atol=1e-5)


SLOW = [pytest.param(how, marks=pytest.mark.slow) for how in ({"window": 2}, {})]


@pytest.mark.parametrize("how", [{"causal": True}, {"mask": True}, *SLOW], ids=str)
def test_a_prefix_is_seen_by_all_whatever_is_hidden(how):
    """An oracle: softmax over all keys, in NumPy."""
    p = jnn.init(layers.attention_spec(8, 2), KEY)
    prefix = jnn.init(layers.prefix_spec(3, 2, 4), KEY)
    mask = np.random.default_rng(0).random((6, 6)) < 0.5 if "mask" in how else None
    given = how if mask is None else {"mask": jnp.asarray(mask)}
    found = jax.jit(lambda p: layers.attention(p, X, **given))(p | {"prefix": prefix})
    q, k, v = (np.asarray(layers.linear(p[name], X)) for name in "qkv")
    k, v = (np.concatenate([np.stack([prefix[n]] * 2), x], 1) for n, x in (("k", k), ("v", v)))
    ahead = np.subtract.outer(np.arange(6), np.arange(6))
    seen = np.ones((6, 6), bool) if mask is None else mask
    seen = seen & (ahead >= 0) if "causal" in how else seen
    seen = seen & (abs(ahead) < how["window"]) if "window" in how else seen
    scores = np.einsum("bthk,bshk->bhts", q, k) / 2
    scores = np.where(np.concatenate([np.ones((6, 3), bool), seen], 1), scores, -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    want = layers.linear(p["o"], np.einsum("bhts,bshk->bthk", weights, v), in_axes=2)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_parts_are_declared_where_a_model_has_place_for_them():
    spec = {
        "layers": [BLOCK, transformer_block_spec(8, 2, 12, d_cross=4)],
        "latent": layers.latent_attention_spec(8, 2, latent=4, head=4, turned=2),
    }
    experts = {**without(BLOCK, "up", "down"), "experts": layers.mixture_of_experts_spec(8, 4, 2)}
    assert sorted(adapters_spec({"blocks": jnn.stack(experts, 3)}, 2)["blocks"]) == ["adapter1", "adapter2"]
    assert sorted(adapters_spec(spec, 3, where="layers/1")["layers"]["1"]) == ["adapter1", "adapter2", "adapter_cross"]
    prefixes = prefixes_spec(spec, 2)
    assert sorted(jnn.flatten(prefixes)) == [
        f"layers/{where}/prefix/{name}" for where in ("0/attention", "1/attention", "1/cross") for name in "kv"
    ]
    both = with_parts(spec, prefixes)
    assert both["layers"][1]["cross"]["prefix"]["k"].shape == (2, 2, 4)
    stacked = prefixes_spec(jnn.stack({"attention": layers.attention_spec(8, 2)}, 5), 3)
    assert stacked["attention"]["prefix"]["k"].axes == ("layers", "prefix", "kv_heads", "head")


PREFIXED = jnn.init(layers.attention_spec(8, 2) | {"prefix": layers.prefix_spec(3, 2, 4)}, KEY)
without = lambda spec, *names: {name: spec[name] for name in spec if name not in names}
REFUSED = {
    "with a bias": lambda: layers.attention(PREFIXED, X, bias=jnp.zeros((6, 6))),
    "of other heads": lambda: layers.attention(PREFIXED | {"prefix": jnn.init(layers.prefix_spec(3, 1, 4), KEY)}, X),
    "in pages": lambda: layers.paged_attention(PREFIXED, X, {}),
    "no block": lambda: adapters_spec(layers.attention_spec(8, 2), 3),
    "a pooling by attention": lambda: adapters_spec({"norm": {}, **without(BLOCK, "norm1", "norm2")}, 3),
    "a state space": lambda: prefixes_spec(layers.mamba2_spec(8, 2, head=4, states=4), 3),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    with pytest.raises(ValueError, match=r"prefix|transformer block|no attention fits"):
        REFUSED[why]()


def test_a_part_for_a_layer_that_a_list_has_not_is_refused():
    adapter = jnn.init(layers.adapter_spec(8, 3), KEY)
    with pytest.raises(ValueError, match=r"a part for layers/2, which is no place in p\. There are: 0, 1"):
        with_parts(
            {"layers": [{"w": 1}, {"w": 2}]}, {"layers": {"0": {"adapter1": adapter}, "2": {"adapter1": adapter}}}
        )
