"""Decoders with experts, and those without attention: what routers chose, norms across heads, cuts, devices."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jnn
from jnn.layers import attention, attention_spec, load_balance, rms_norm, router_z
from jnn.models import (
    DecoderConfig,
    cached_mamba2_decoder,
    decoder,
    decoder_spec,
    mamba2_decoder,
    mamba2_decoder_cache,
    mamba2_decoder_spec,
    routed_decoder,
)

ROUTED = DecoderConfig(
    **{"vocab": 11, "layers": 2, "heads": 2, "embed": 8, "hidden": 6, "qk_norm": "across"},
    **{"experts": 3, "experts_per_token": 2, "normalized_gates": False, "shared_expert": 4, "epsilon": 1e-5},
)
TOKENS = jnp.array([[1, 2, 3, 4], [4, 5, 6, 7]])


def drawn(spec):
    """Params that matter, of NumPy's: no program draws them."""
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda s: 0.4 * rng.normal(size=s.shape).astype(np.float32), spec)


def test_the_routed_decoder_is_the_decoder_and_says_what_was_chosen():
    """With noise; the weights are the probabilities of the likeliest."""
    run = lambda p, key: (
        routed_decoder(p, TOKENS, ROUTED, key=key, rate=0.2, remat=None),
        decoder(p, TOKENS, ROUTED, key=key, rate=0.2, remat=None),
    )
    (logits, routing), plain = jax.jit(run)(drawn(decoder_spec(ROUTED)), jax.random.key(1))
    np.testing.assert_allclose(logits, plain, rtol=1e-5, atol=1e-5)
    assert routing.logits.shape == (2, 2, 4, 3)
    assert routing.experts.shape == routing.weights.shape == (2, 2, 4, 2)
    likeliest = np.argsort(-np.asarray(routing.logits), -1)[..., :2]
    np.testing.assert_array_equal(routing.experts, likeliest)
    shifted = np.exp(routing.logits - np.asarray(routing.logits).max(-1, keepdims=True))
    probability = np.take_along_axis(shifted / shifted.sum(-1, keepdims=True), likeliest, -1)
    np.testing.assert_allclose(routing.weights, probability, rtol=1e-5)


@pytest.mark.slow
def test_losses_of_the_load_reach_every_router_and_layers_are_in_order():
    """Of windows that leave nothing out, the layers are those of none."""
    deep = dataclasses.replace(ROUTED, layers=4)
    p, weights = drawn(decoder_spec(deep)), jnp.array([[1.0, 1, 1, 0], [1, 1, 1, 1]])

    def run(p, windows):
        config = dataclasses.replace(deep, windows=windows)
        _, routing = routed_decoder(p, TOKENS, config, key=None)
        losses = jax.vmap(load_balance, (0, None))(routing, weights).mean(0) + router_z(routing).mean(0)
        return (losses * weights).sum(), routing

    gradient, routing = jax.jit(jax.grad(run, has_aux=True), static_argnums=1)(p, (9, None))
    _, plain = jax.jit(run, static_argnums=1)(p, (None,))
    for a, b in zip(routing, plain, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert (np.abs(gradient["blocks"]["experts"]["router"]["w"]).max((1, 2)) > 0).all()


def test_queries_and_keys_are_normalized_across_heads():
    """Against the equations in NumPy, with another epsilon and grouped queries."""
    rng, spec = np.random.default_rng(0), attention_spec(6, 4, kv_heads=2, head=3, bias=False, qk_norm="across")
    p = jax.tree.map(lambda s: rng.normal(size=s.shape).astype(np.float32), spec)
    x = rng.normal(size=(5, 6)).astype(np.float32)
    found = attention(p, x, causal=True, qk_norm=lambda *a, **how: rms_norm(*a, **how, epsilon=0.5))
    q, k, v = (np.einsum("td,dhk->thk", x, p[name]["w"]) for name in "qkv")
    rms = lambda a: a / np.sqrt((a**2).mean((1, 2), keepdims=True) + 0.5)
    q, k = rms(q) * p["q_norm"]["scale"], rms(k) * p["k_norm"]["scale"]
    scores = np.einsum("thk,shk->hts", q, np.repeat(k, 2, 1)) / 3**0.5
    scores = np.exp(np.where(np.tri(5, dtype=bool), scores, -np.inf))
    y = np.einsum("hts,shk->thk", scores / scores.sum(-1, keepdims=True), np.repeat(v, 2, 1))
    np.testing.assert_allclose(found, np.einsum("thk,hkd->td", y, p["o"]["w"]), rtol=1e-4, atol=1e-4)


def test_every_cut_of_a_mamba2_decoder_is_the_whole():
    p = drawn(mamba2_decoder_spec(11, layers=2, embed=4, heads=4, head=2, states=3, groups=2, tied=False))
    tokens, chunk, parts, cache = jnp.arange(6) * 3 % 11, jax.jit(cached_mamba2_decoder), [], mamba2_decoder_cache(p, 6)
    for cut in (tokens[:3], tokens[3:]):
        logits, cache = chunk(p, cut, cache)
        parts.append(logits)
    whole = jax.jit(lambda p: mamba2_decoder(p, tokens, key=None, remat=None))(p)
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("rules", [{"experts": "model"}, {"embed": "data", "hidden": "model"}], ids=["experts", "both"])
def test_experts_on_devices_are_those_of_one(rules):
    config = dataclasses.replace(ROUTED, experts=8, hidden=8, embed=16)
    spec = decoder_spec(config)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    run = jax.jit(jax.value_and_grad(lambda p: jnp.sum(jnp.sin(decoder(p, TOKENS, config, key=None)))))
    one = run(jnn.init(spec, jax.random.key(0)))
    many = run(jnn.init(spec, jax.random.key(0), mesh=mesh, rules=rules))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_bad_input_is_one_clear_error():
    plain = dataclasses.replace(ROUTED, experts=None, shared_expert=None)
    with pytest.raises(ValueError, match="routed_decoder: found a config without experts"):
        routed_decoder({}, TOKENS, plain, key=None)
    with pytest.raises(ValueError, match=r"mamba2_decoder: expected params\['blocks'\], a dict with 'norm', 'mixer'"):
        mamba2_decoder({"embed": {"table": TOKENS}, "blocks": {}, "norm": {}}, TOKENS, key=None)
