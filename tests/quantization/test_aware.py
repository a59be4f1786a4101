"""Quantization-aware training: its gradients and a learned step's as torch has them, and no change by quantizing."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from jnn import layers, models
from jnn.layers import fake_quantize, linear, linear_spec, quantize_weight, weight_scales
from jnn.quantization import dequantize, fake_quantized, quantize, quantize_activations, step_sizes
from tests.oracle import assert_matches_torch, configurations
from tests.quantization.test_quantize import drawn

KEY = jax.random.key(0)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_it_is_torchs_of_a_tensor(rng):
    bits = int(rng.integers(2, 9))
    most = 2 ** (bits - 1) - 1
    scale = float(np.float32(10 ** rng.uniform(-2, 1)))
    x = (rng.normal(size=(4, 7)) * scale * most).astype(np.float32)
    theirs = lambda x: torch.fake_quantize_per_tensor_affine(x.float(), scale, 0, -most, most).to(x.dtype)
    assert_matches_torch(lambda x: fake_quantize(x, scale, bits), theirs, [x], tolerance=1e-6)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_a_learned_step_has_the_papers_gradient(rng):
    """Learned Step Size Quantization, equation 3, also as torch has it; forward mode is reverse mode."""
    bits, scale = int(rng.integers(2, 9)), np.float32(10 ** rng.uniform(-2, 1))
    most = 2 ** (bits - 1) - 1
    x = (rng.normal(size=(4, 7)) * scale * most).astype(np.float32)
    x = np.where(
        np.abs(np.abs(x / scale) - most) < 0.6, 0.4 * scale, x
    )  # there the paper has it by what is not rounded
    v = x / scale
    want = np.where(np.abs(v) <= most, np.round(v) - v, np.sign(v) * most)
    g = rng.normal(size=x.shape).astype(np.float32)
    found = jax.vjp(lambda s: fake_quantize(x, s, bits), jnp.asarray(scale))[1](jnp.asarray(g))[0]
    step = torch.tensor([scale], requires_grad=True)
    learned = torch._fake_quantize_learnable_per_tensor_affine
    learned(torch.tensor(x), step, torch.zeros(1), -most, most, 1.0).backward(torch.tensor(g))
    for theirs in ((want * g).sum(), step.grad.item()):
        np.testing.assert_allclose(found, theirs, rtol=1e-4, atol=1e-4)
    dx, ds = rng.normal(size=x.shape).astype(np.float32), np.float32(0.7)
    _, forward = jax.jvp(lambda x, s: fake_quantize(x, s, bits), (x, scale), (dx, ds))
    np.testing.assert_allclose(forward, (np.abs(v) <= most) * dx + want * ds, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 2)), ids=range(20))
def test_of_a_weight_it_is_the_integers(rng):
    w, how = drawn(rng)
    scales = weight_scales(jnp.asarray(w), **how)
    want = layers.dequantize_weight(quantize_weight(jnp.asarray(w), **how))
    np.testing.assert_array_equal(fake_quantize(jnp.asarray(w), scales, how["bits"]), want)


def trained(bits, group, learned, steps=60):
    """An MLP on a made task, trained as it will be quantized."""
    spec = models.mlp_spec((8, 16, 4))
    p = jnn.init(spec, KEY)
    x = jax.random.normal(jax.random.key(1), (256, 8))
    y = jnp.argmax(x @ jax.random.normal(jax.random.key(2), (8, 4)), -1)
    both = {"p": p, "steps": step_sizes(p, spec, bits=bits, group=group) if learned else {}}
    seen = lambda both: fake_quantized(both["p"], spec, bits=bits, group=group, scales=both["steps"])
    run = lambda p: models.mlp(p, x, key=None)
    loss = lambda both: optax.losses.softmax_cross_entropy_with_integer_labels(run(seen(both)), y).mean()
    adam = optax.adam(1e-2)

    @jax.jit
    def step(both, state):
        value, grads = jax.value_and_grad(loss)(both)
        updates, state = adam.update(grads, state)
        return optax.apply_updates(both, updates), state, value

    state, losses = adam.init(both), []
    for _ in range(steps):
        both, state, value = step(both, state)
        losses.append(float(value))
    quantized = quantize(both["p"], spec, bits=bits, group=group, scales=both["steps"])
    return losses, run(seen(both)), run(quantized), loss


@pytest.mark.parametrize(("bits", "group", "learned"), [(4, None, False), (4, 4, True), (8, None, True)])
def test_quantized_a_trained_model_is_what_the_loss_has_seen(bits, group, learned):
    losses, seen, quantized, _ = trained(bits, group, learned)
    np.testing.assert_allclose(seen, quantized, rtol=1e-4, atol=1e-4)
    assert losses[-1] < 0.5 * losses[0]


def test_stacked_layers_and_inputs_are_quantized_alike():
    spec = jnn.stack(linear_spec(6, 6), 2)
    p = jnn.init(spec, KEY)
    x = jax.random.normal(jax.random.key(1), (5, 6))
    run = lambda p: jax.lax.scan(lambda x, p: (linear(p, x), None), x, p)[0]
    inputs = {"w": jnp.array([0.02, 0.03])}
    aware = fake_quantized(p, spec, input_scales=inputs)
    np.testing.assert_allclose(run(aware), run(quantize_activations(p, spec, inputs)), rtol=1e-4, atol=1e-4)
    assert jax.tree.structure(dequantize(aware)) == jax.tree.structure(p)
    grads = jax.grad(lambda s: run(fake_quantized(p, spec, input_scales={"w": s})).sum())(inputs["w"])
    assert grads.shape == (2,)
    assert (grads != 0).all()


P, SPEC = {"w": jnp.ones((4, 2))}, linear_spec(4, 2, bias=False)
REFUSED = {
    "bits": (lambda: fake_quantize(jnp.ones(2), 1.0, 1), ValueError, "2 to 16 bits, found 1"),
    "ints": (lambda: fake_quantize(jnp.ones(2, int), 1.0), TypeError, "fake_quantize"),
    "scales": (
        lambda: fake_quantize(P["w"], jnp.ones((3, 2))),
        ValueError,
        r"that divide them, found \(3, 2\)",
    ),
    "scales of another path": (
        lambda: fake_quantized(P, SPEC, scales={"fc/w": jnp.ones((1, 2))}),
        ValueError,
        "fake_quantized: found scales of 'fc/w', which is no weight. Name each by its path, as step_sizes does: w",
    ),
    "scales as a tree": (
        lambda: quantize({"fc": P}, {"fc": SPEC}, scales={"fc": {"w": jnp.ones((1, 2))}}),
        ValueError,
        "quantize: found scales of 'fc', which is no weight. .*: fc/w",
    ),
    "a pattern for scales": (
        lambda: quantize_activations(P, SPEC, "*"),
        TypeError,
        "quantize_activations: expected input scales by path, a dict, found str",
    ),
    "a number for scales": (
        lambda: fake_quantized(P, SPEC, scales=0.5),
        TypeError,
        "fake_quantized: expected scales by",
    ),
    "sums for a scale": (
        lambda: fake_quantized(P, SPEC, input_scales={"w": {"rows": jnp.ones(())}}),
        TypeError,
        r"expected an input scale for w, found a dict of \['rows'\]. Give mse_scale",
    ),
    "integers": (
        lambda: fake_quantized(
            quantize({"w": jnp.ones((4, 2))}, linear_spec(4, 2, bias=False)), linear_spec(4, 2, bias=False)
        ),
        ValueError,
        "w is quantized already",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_makes_no_sense_is_refused(why):
    call, kind, words = REFUSED[why]
    with pytest.raises(kind, match=words):
        call()
