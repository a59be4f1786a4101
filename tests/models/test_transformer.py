"""The decoder: GPT-2's equations in torch, initial values, causality, packing, remat, tensor parallelism, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.functional import embedding, gelu, layer_norm, linear, scaled_dot_product_attention

import jnn
from jnn.layers import segment_mask
from jnn.models import transformer, transformer_hidden, transformer_spec
from jnn.remat import POLICIES
from tests.models.decoders import LEARNED, ROTARY, VARIANTS, moved
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 3, 8)), ids=range(20))
def test_matches_gpt2_in_torch(rng):
    layers, heads, k, t, b = (int(n) for n in rng.integers(1, 4, 5))
    d, vocab = heads * k, int(rng.integers(2, 9))
    params = moved(transformer_spec(vocab, t + 1, layers=layers, heads=heads, embed=d, hidden=3 * d))
    leaves = jnn.flatten(params)
    tokens = rng.integers(0, vocab, (b, t)).astype(np.int32)

    def theirs(*arrays):
        p = dict(zip(leaves, arrays, strict=True))
        norm = lambda x, name, *i: layer_norm(x, (d,), p[f"{name}/scale"][i], p[f"{name}/bias"][i])
        dense = lambda x, name, i, d_in: linear(x, p[f"{name}/w"][i].reshape(d_in, -1).T, p[f"{name}/b"][i].flatten())
        heads_of = lambda x: x.reshape(b, t, heads, k).transpose(1, 2)
        x = embedding(torch.tensor(tokens).long(), p["embed/table"]) + p["position/table"][:t]
        for i in range(layers):
            h = norm(x, "blocks/norm1", i)
            q, keys, values = (heads_of(dense(h, f"blocks/attention/{n}", i, d)) for n in "qkv")
            h = scaled_dot_product_attention(q, keys, values, is_causal=True).transpose(1, 2).reshape(b, t, d)
            x = x + dense(h, "blocks/attention/o", i, d)
            h = gelu(dense(norm(x, "blocks/norm2", i), "blocks/up", i, d), approximate="tanh")
            x = x + dense(h, "blocks/down", i, 3 * d)
        return norm(x, "norm") @ p["embed/table"].T

    def ours(*arrays):
        p = jax.tree.unflatten(jax.tree.structure(params), arrays)
        return transformer(p, jnp.asarray(tokens), key=None)

    assert_matches_torch(ours, theirs, [np.array(leaf) for leaf in leaves.values()])


@VARIANTS
def test_causality_by_gradient(spec):
    p, tokens = moved(spec), jnp.arange(6)
    # each position's own copy of the table: which copies do logits at t depend on?
    copies = jnp.broadcast_to(p["embed"]["table"][tokens], (6, 8))

    def logits(copies):
        own = {"table": jnp.concatenate([copies, p["embed"]["table"][6:]])}
        return transformer(p | {"embed": own}, tokens, key=None) @ jnp.zeros((11, 1)).at[6:].set(1.0)

    depends = np.abs(jax.jit(jax.jacobian(logits))(copies)).sum((1, 3)) > 1e-7
    np.testing.assert_array_equal(depends, np.tril(np.ones((6, 6), bool)))


@VARIANTS
def test_packed_rows_equal_the_rows_alone(spec):
    @jax.jit
    def both(p, one, two):
        packed = transformer(
            p,
            jnp.concatenate([one, two]),
            key=None,
            positions=jnp.array([0, 1, 2, 0, 1, 2, 3]),
            mask=segment_mask(jnp.array([0] * 3 + [1] * 4)),
        )
        return packed, jnp.concatenate([transformer(p, row, key=None) for row in (one, two)])

    found = both(moved(spec), jnp.array([1, 2, 3]), jnp.array([4, 5, 6, 7]))
    np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-4)


@VARIANTS
def test_logits_are_read_from_the_hidden_states(spec):
    p, tokens, how = moved(spec), jnp.arange(6).reshape(2, 3), {"key": jax.random.key(2), "rate": 0.3}
    found = transformer_hidden(p, tokens, **how) @ p["embed"]["table"].T
    np.testing.assert_allclose(found, transformer(p, tokens, **how), rtol=1e-5, atol=1e-5)


def test_remat_changes_nothing_but_what_is_remembered():
    p, tokens = moved(LEARNED), jnp.arange(6)

    def run(remat):
        scalar = lambda p: jnp.sum(jnp.sin(transformer(p, tokens, key=jax.random.key(2), rate=0.3, remat=remat)))
        return jax.jit(jax.value_and_grad(scalar))(p)

    plain = run(None)
    for remat in (*POLICIES, ("attended",)):
        for a, b in zip(jax.tree.leaves(run(remat)), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)
    assert remembered("full") < remembered(("attended",)) < remembered("names") < remembered("dots") < remembered(None)
    layers, tokens, embed, head, hidden = 2, 6, 8, 4, 32  # one key-value head, and no biases, which "full" needs again
    between = remembered("names", ROTARY) - remembered("full", ROTARY)
    assert between == layers * tokens * (3 * embed + 2 * head)
    assert remembered("offload", ROTARY) - remembered("names", ROTARY) == layers * tokens * hidden


def remembered(remat, spec=LEARNED):
    """How many numbers the backward pass is handed."""
    run = lambda p: transformer(p, jnp.arange(6), key=None, remat=remat)
    residuals = jax.eval_shape(lambda p: jax.vjp(run, p)[1], jnn.abstract(spec))
    return sum(x.size for x in jax.tree.leaves(residuals))


def test_initial_values_are_gpt2s():
    p = jnn.init(transformer_spec(300, 50, layers=8, heads=4, embed=64), jax.random.key(0))
    spread = {
        path: float(leaf.std()) for path, leaf in jnn.flatten(p).items() if not path.endswith(("/b", "bias", "scale"))
    }
    for path, std in spread.items():
        ends_a_branch = path in ("blocks/attention/o/w", "blocks/down/w")
        np.testing.assert_allclose(std, 0.02 / 4 if ends_a_branch else 0.02, rtol=0.05, err_msg=path)
    logits = jax.jit(lambda p: transformer(p, jnp.arange(50), key=None))(p)
    loss = -np.asarray(jax.nn.log_softmax(logits))[np.arange(49), np.arange(1, 50)].mean()
    np.testing.assert_allclose(loss, np.log(300), rtol=0.02)


def test_decay_belongs_to_the_linear_maps_and_tables():
    decayed = {path for path, yes in jnn.flatten(jnn.weight_mask(LEARNED)).items() if yes}
    assert decayed == {path for path in jnn.flatten(LEARNED) if path.endswith(("/w", "/table"))}


def test_tensor_parallel_equals_one_device():
    spec = transformer_spec(16, 8, layers=2, heads=4, embed=8)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
    rules = {"embed": "data", "heads": "model", "kv_heads": "model", "hidden": "model", "vocab": "model"}
    tokens = jax.random.randint(jax.random.key(1), (4, 8), 0, 16)
    run = jax.jit(jax.value_and_grad(lambda p: jnp.sum(jnp.sin(transformer(p, tokens, key=None)))))
    one = run(jnn.init(spec, jax.random.key(0)))
    many = run(jnn.init(spec, jax.random.key(0), mesh=mesh, rules=rules))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(many), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: transformer(p, jnp.ones(3), key=None), TypeError, "transformer: expected integers"),
        (lambda p: transformer(p, jnp.arange(0), key=None), ValueError, "transformer: expected at least one"),
        (lambda p: transformer(p, jnp.arange(9), key=None), ValueError, "found 9 tokens, its params have 8 positions"),
        (lambda p: transformer(p, jnp.array([11]), key=None), ValueError, r"embed: expected tokens in 0..10"),
        (
            lambda p: transformer(p, jnp.array([1]), key=None, remat="all"),
            ValueError,
            "remat is None, a tuple of names, or one of",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(jnn.init(LEARNED, jax.random.key(0)))


def test_a_forgotten_key_is_an_error():
    with pytest.raises(TypeError, match="key"):
        transformer(jnn.init(LEARNED, jax.random.key(0)), jnp.arange(3))
