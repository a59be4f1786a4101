"""Capsules, spikes, coordinates as waves, splines, Hopfield memories, highways."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.interpolate
import torch

from jnn import layers
from tests.layers.recurrences import inputs, random_params
from tests.oracle import assert_matches_torch, configurations


def against(ours, theirs, spec, *arrays):
    """A layer of parameters against its formula in torch, values and gradients."""
    leaves, tree = jax.tree.flatten(random_params(spec))
    n = len(arrays)
    assert_matches_torch(
        lambda *a: ours(tree.unflatten(a[n:]), *a[:n]),
        lambda *a: theirs(tree.unflatten(a[n:]), *a[:n]),
        [*arrays, *map(np.asarray, leaves)],
    )


def squash(s):
    square = (s**2).sum(-1, keepdim=True)
    return square / (1 + square) * s / square.sqrt()


def capsules(p, x, iterations=3):
    votes = torch.stack([torch.einsum("d,dok->ok", row, w) for row, w in zip(x, p["w"], strict=True)])
    logits = torch.zeros(votes.shape[:2])
    for _ in range(iterations):
        said = squash((logits.softmax(1)[..., None] * votes).sum(0))
        logits = logits + (votes * said).sum(-1)
    return said


def highway(p, x):
    g = torch.sigmoid(x @ p["gate"]["w"] + p["gate"]["b"])
    return g * torch.relu(x @ p["transform"]["w"] + p["transform"]["b"]) + (1 - g) * x


def hopfield(p, x, memory):
    state, patterns = (a @ p[n]["w"] + p[n]["b"] for a, n in ((x, "state"), (memory, "pattern")))
    for _ in range(2):
        state = (0.7 * state @ patterns.T).softmax(-1) @ patterns
    return state @ p["output"]["w"] + p["output"]["b"]


def fourier(p, x):
    angle = 2 * np.pi * x @ p["w"]
    return torch.cat([angle.cos(), angle.sin()], -1)


CASES = {
    "capsules": (lambda a, b: layers.capsules_spec(4, a, 3, b), layers.capsules, capsules, lambda a: [(4, a)]),
    "highway": (lambda a, b: layers.highway_spec(a), layers.highway, highway, lambda a: [(3, a)]),
    "hopfield": (
        lambda a, b: layers.hopfield_spec(a, 3, b),
        partial(layers.hopfield, beta=0.7, steps=2),
        hopfield,
        lambda a: [(3, a), (4, 3)],
    ),
    "fourier": (layers.fourier_features_spec, layers.fourier_features, fourier, lambda a: [(3, a)]),
    "siren": (
        layers.siren_spec,
        partial(layers.siren, frequency=5.0),
        lambda p, x: torch.sin(5 * (x @ p["w"] + p["b"])),
        lambda a: [(3, a)],
    ),
}


@pytest.mark.parametrize("kind", sorted(CASES))
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_a_layer_matches_its_formula(kind, rng):
    spec, ours, theirs, shapes = CASES[kind]
    a, b = rng.integers(1, 5, 2).tolist()
    against(ours, theirs, spec(a, b), *(rng.normal(size=s).astype(np.float32) for s in shapes(a)))


def test_a_capsule_of_any_length_has_a_finite_gradient():
    run = jax.jit(jax.value_and_grad(lambda s: layers.squash(s).sum()))
    for capsule, long in (([0.0, 0.0], 0), ([3e38, 0.0], 1)):  # of which the squares are no floats
        value, slope = run(jnp.array(capsule))
        np.testing.assert_allclose([value, *slope], [long, 0, 0], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("share", [1, 0.7, 1e-10, 1e-19, 1e-22, 1e-38])
def test_a_capsule_of_any_length_is_squashed_as_float64_does(dtype, share):
    """Its gradient, too; numbers are shares of the largest that there is."""
    s = (np.array([3.0, -4.0, 0.0]) / 4 * share * float(jnp.finfo(dtype).max)).astype(dtype)
    ours, slope = jax.value_and_grad(lambda s: layers.squash(s)[1].astype(jnp.float32))(jnp.asarray(s))
    exact = np.asarray(s, np.float64)
    size = np.linalg.norm(exact)
    wanted = exact[1] * (size / (1 + size**2))
    np.testing.assert_allclose(ours, wanted, rtol=float(jnp.finfo(dtype).eps) * 8, atol=float(jnp.finfo(dtype).tiny))
    assert np.isfinite(np.asarray(slope, np.float32)).all()


def test_a_siren_starts_with_angles_alike_in_every_layer():
    """Section 3.2 of the paper: before the sine, behind the first layer, the deviation is 1."""
    x, frequency, keys = jax.random.uniform(jax.random.key(1), (512, 2), minval=-1), 30.0, jax.random.key(0)
    for i in range(3):
        spec = layers.siren_spec(x.shape[1], 256, first=i == 0, bias=False)
        w = spec["w"].draw(jax.random.fold_in(keys, i))
        if i:
            np.testing.assert_allclose(jnp.std(frequency * x @ w), 1, rtol=0.1)
        x = layers.siren({"w": w}, x)


def test_nerf_encoding_is_its_formula():
    x = inputs(2, 3)
    wanted = [wave(2**k * np.pi * x) for wave in (np.sin, np.cos) for k in range(3)]
    np.testing.assert_allclose(layers.nerf_encoding(x, frequencies=3), np.concatenate(wanted, -1), atol=1e-5)


def test_a_neuron_integrates_leaks_fires_and_is_set_back():
    """A membrane step by step in NumPy; and the gradient of a spike is the surrogate's."""
    p, x = jax.tree.map(np.asarray, random_params(layers.lif_cell_spec(3, 4))), 2 * inputs(2, 6, 3)
    spikes, last = layers.rnn(layers.lif_cell, p, x)
    v, decay = np.zeros((2, 4)), 1 / (1 + np.exp(-p["decay"]))
    for t in range(6):
        v = decay * v + x[:, t] @ p["input"]["w"] + p["input"]["b"]
        np.testing.assert_array_equal(spikes[:, t], v > 1)
        v = v - (v > 1)
    assert 0 < np.mean(spikes) < 1
    np.testing.assert_allclose(last, v, rtol=1e-4, atol=1e-5)
    at = jnp.array([-0.3, 0.0, 2.0])
    grad = jax.vmap(jax.grad(lambda v: layers.spike(v, 4.0)))(at)
    np.testing.assert_allclose(grad, 1 / (1 + 4 * np.abs(at)) ** 2, rtol=1e-6)


def test_recurrent_neurons_hear_the_last_spikes_and_an_integrator_never_fires():
    """Both step by step in NumPy."""
    p = jax.tree.map(np.asarray, random_params(layers.recurrent_lif_cell_spec(3, 4)))
    x, decay = 2 * inputs(2, 6, 3), 1 / (1 + np.exp(-p["decay"]))
    spikes, (last, _) = layers.rnn(layers.recurrent_lif_cell, p, x)
    membranes, _ = layers.rnn(layers.leaky_integrator, {name: p[name] for name in ("input", "decay")}, x)
    v, fired, free = np.zeros((3, 2, 4))
    for t in range(6):
        current = x[:, t] @ p["input"]["w"] + p["input"]["b"]
        v, free = decay * v + current + fired @ p["recurrent"]["w"], decay * free + current
        fired = (v > 1).astype(np.float32)
        v = v - fired
        np.testing.assert_array_equal(spikes[:, t], fired)
        np.testing.assert_allclose(membranes[:, t], free, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(last, v, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_b_splines_are_scipys(rng):
    degree = int(rng.integers(0, 4))
    knots = np.sort(rng.normal(size=degree + 2 + rng.integers(0, 5)))
    if rng.integers(2):
        knots = np.concatenate([[knots[0]] * degree, knots, [knots[-1]] * degree])
    x = rng.uniform(knots[0], knots[-1], 50)
    wanted = scipy.interpolate.BSpline.design_matrix(
        x, np.r_[[knots[0] - 1] * degree, knots, [knots[-1] + 1] * degree], degree
    ).toarray()[:, degree : len(knots) - 1]
    with jax.enable_x64(True):
        found = layers.b_spline_basis(jnp.asarray(x), knots, degree)
    np.testing.assert_allclose(found, wanted[:, : found.shape[1]], rtol=1e-9, atol=1e-9)


def test_kan_is_splines_of_scipy_and_a_silu():
    p, x = random_params(layers.kan_spec(2, 3)), np.random.default_rng(0).uniform(-2, 2, (7, 2))
    knots = -2 + 4 / 5 * np.arange(-3, 9)
    curves = [scipy.interpolate.BSpline(knots, np.asarray(p["spline"][i], np.float64), 3)(x[:, i]) for i in range(2)]
    wanted = (x / (1 + np.exp(-x))) @ np.asarray(p["w"], np.float64) + sum(curves)
    far = jax.jit(jax.value_and_grad(lambda x: layers.b_spline_basis(x, [-1.0, 0.0, 0.4, 1.0], 2).sum()))
    assert all(far(jnp.float32(x)) == (0, 0) for x in (-3.4e38, 3.4e38))
    found = layers.kan(p, jnp.asarray(x, jnp.float32), domain=(-2, 2))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_update_never_increases_the_energy_of_a_hopfield_network():
    state, patterns = jnp.asarray(inputs(5, 4)), jnp.asarray(inputs(6, 4))
    energies = []
    for _ in range(5):
        energies.append(layers.hopfield_energy(state, patterns, beta=2.0))
        state = layers.hopfield_retrieve(state, patterns, beta=2.0)
    assert np.all(np.diff(energies, axis=0) <= 1e-6)


X = jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers.capsules({"w": jnp.ones((2, 3, 4, 5))}, X, iterations=0), "at least one iteration"),
        (lambda: layers.nerf_encoding(X, frequencies=0), "at least one frequency, found 0"),
        (lambda: layers.b_spline_basis(X, [0.0, 2.0, 1.0], 1), "ascending knots or more, found degree 1"),
        (lambda: layers.kan(random_params(layers.kan_spec(3, 2)), X, degree=8), "a degree in 0..7"),
        (lambda: layers.hopfield_retrieve(X, X[:, :2], beta=1.0), "the same leading and last axes"),
        (lambda: layers.lif_cell(random_params(layers.lif_cell_spec(2, 4)), None, X), r"expect input \[...,2\]"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
