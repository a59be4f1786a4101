"""Linen and NNX modules as jnn's functions and back, against their own `apply` in float64; trained on a mesh."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import jnn
from experiments.benchmarks import problems
from experiments.benchmarks.frameworks import linen
from experiments.benchmarks.frameworks import nnx as nnx_networks
from jnn.interop.flax import from_linen, from_nnx, to_linen, to_nnx
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.models import mlp, mlp_spec
from tests.interop.imported import KEY, assert_same, check_trains
from tests.oracle import configurations

IMAGES = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype(np.float32)
NOISE = jax.random.key(7)


class Linen(nn.Module):
    """Every kind of state: batch statistics, noise, and vectors of a spectral norm."""

    spectral: bool = False

    @nn.compact
    def __call__(self, x, train=False):
        h = nn.BatchNorm(not train)(nn.Conv(8, (3, 3))(x))
        h = nn.Dropout(0.25, deterministic=not train)(nn.relu(h)).mean((1, 2))
        if self.spectral:
            h = nn.SpectralNorm(nn.Dense(8))(h, update_stats=train)
        attention = nn.MultiHeadDotProductAttention(2, dropout_rate=0.1, deterministic=not train)
        h = h + attention(nn.LayerNorm()(h)[:, None])[:, 0]
        return nn.Dense(3)(nn.gelu(nn.Dense(16)(h)))


class Nnx(nnx.Module):
    def __init__(self, rngs, dtype=jnp.float32):
        how = {"param_dtype": dtype, "rngs": rngs}
        self.conv, self.norm, self.dropout = (
            nnx.Conv(2, 8, (3, 3), **how),
            nnx.BatchNorm(8, **how),
            nnx.Dropout(0.25, rngs=rngs),
        )
        self.layers = nnx.List([nnx.Linear(8, 16, **how), nnx.Linear(16, 8, **how)])
        self.attention, self.out = nnx.MultiHeadAttention(2, 8, decode=False, **how), nnx.Linear(8, 3, **how)

    def __call__(self, x):
        h = self.dropout(nnx.relu(self.norm(self.conv(x)))).mean((1, 2))
        h = h + self.layers[1](nnx.gelu(self.layers[0](h)))
        return self.out(self.attention(h[:, None])[:, 0])


def random_linen(rng):
    """A module of random layers, of batches of images."""
    width = int(rng.integers(2, 5)) * 2
    norms = [nn.LayerNorm, nn.RMSNorm, lambda: nn.GroupNorm(2), lambda: nn.BatchNorm(False)]
    layers = [nn.Conv(width, (3, int(rng.integers(1, 4))), strides=int(rng.integers(1, 3))), norms[rng.integers(4)]()]
    layers += [nn.ConvTranspose(4, (2, 2))] * int(rng.integers(2)) + [nn.relu, lambda x: x.reshape(len(x), -1)]
    layers += [nn.Dense(int(rng.integers(3, 9)), use_bias=bool(rng.integers(2))), nn.tanh, nn.Dense(3)]
    return nn.Sequential(layers)


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_random_linen_modules_are_their_own_apply(rng):
    module = random_linen(rng)
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(4, 6, 6, 2)))
        network = from_linen(module, x)
        variables = jax.tree.map(lambda a: a.astype(jnp.float64), module.init(KEY, x))
        ours = lambda p: network.function(p, x, key=None)
        theirs = lambda p: module.apply({**variables, "params": p}, x, mutable=["batch_stats"])[0]
        assert_same(lambda p: ours(p)[0] if network.stats else ours(p), theirs, variables["params"])


def test_linen_draws_what_the_module_draws():
    network = from_linen(Linen(), IMAGES, train=True)
    for layer in ("Conv_0", "Dense_1"):
        drawn = jnn.init(network.spec[layer], jnn.path_key(KEY, layer))["kernel"]
        theirs = jax.jit(Linen().init)(jnn.path_key(KEY, f"{layer}/kernel"), IMAGES)["params"][layer]["kernel"]
        np.testing.assert_allclose(drawn, theirs, rtol=1e-6)


class Scaled(nn.Module):
    @nn.compact
    def __call__(self, x):
        return self.param("scale", nn.initializers.ones, ()) * x + jax.random.normal(self.make_rng("noise"), x.shape)


def test_a_parameter_that_is_always_the_same_number_is_drawn():
    network = from_linen(Scaled(), IMAGES)
    params = jnn.init(network.spec, KEY)
    assert params["scale"] == 1
    found = [network.function(params, IMAGES, key=jax.random.key(i)) for i in range(2)]
    assert not np.allclose(*found)


def test_linen_noise_and_statistics_are_arguments():
    network = from_linen(Linen(), IMAGES)
    variables = jax.jit(Linen().init)(KEY, IMAGES)
    params = variables["params"]
    call = jax.jit(network.function, static_argnames="train")

    @partial(jax.jit, static_argnums=0, static_argnames="mutable")
    def apply(train, mutable=()):
        return Linen().apply(variables, IMAGES, train, rngs={"dropout": NOISE}, mutable=mutable)

    y, seen = call(params, IMAGES, key=NOISE)
    wanted, changed = apply(True, mutable="batch_stats")
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    for name, first in (("mean", 0), ("var", 1)):  # theirs is 0.99 of what was there before
        of_batch = (changed["batch_stats"]["BatchNorm_0"][name] - 0.99 * first) / 0.01
        np.testing.assert_allclose(seen["batch_stats"]["BatchNorm_0"][name], of_batch, rtol=1e-3, atol=1e-4)
    y, kept = call(params, IMAGES, key=None, stats=network.stats)
    np.testing.assert_allclose(y, apply(False)[0], rtol=1e-5, atol=1e-5)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), kept, network.stats))
    silent, _ = call(params, IMAGES, key=None)
    np.testing.assert_allclose(silent, call(params, IMAGES, key=None, train=True)[0])


def test_linen_trains_on_a_mesh_with_statistics_and_memory():
    network = from_linen(Linen(spectral=True), IMAGES, train=True)
    assert jax.tree.map(jnp.shape, network.memory) == {
        "batch_stats": {"SpectralNorm_0": {"Dense_0/kernel/sigma": (), "Dense_0/kernel/u": (1, 8)}}
    }
    params = jnn.init(network.spec, KEY)
    state = check_trains(network, params, IMAGES)
    vectors = lambda memory: memory["batch_stats"]["SpectralNorm_0"]["Dense_0/kernel/u"]
    assert float(jnp.abs(vectors(state.memory) - vectors(network.memory)).max()) > 1e-3


def test_axes_are_guessed_and_can_be_said():
    spec = from_linen(Linen(), IMAGES, axes={"Dense_0/kernel": "embed -> classes"}).spec
    axes = {path: param.axes for path, param in jnn.flatten(spec).items()}
    assert axes["Conv_0/kernel"] == ("y", "x", "channels_in", "channels_out")
    assert axes["MultiHeadDotProductAttention_0/out/kernel"] == ("heads", "head", "embed")
    assert axes["Dense_1/kernel"] == ("embed", "hidden")
    assert (axes["Dense_0/kernel"], axes["Dense_0/bias"]) == (("embed", "classes"), ("out",))
    assert not jnn.weight_mask(spec)["Dense_0"]["bias"]
    assert jnn.weight_mask(spec)["Conv_0"]["kernel"]
    with pytest.raises(ValueError, match="no path fits 'fc/kernel'"):
        from_linen(Linen(), IMAGES, axes={"fc/kernel": "in -> out"})
    named = nn.Dense(4, kernel_init=nn.with_partitioning(nn.initializers.ones, ("embed", None)))
    assert from_linen(named, jnp.ones((1, 3))).spec["kernel"].axes == ("embed", "axis1")


class RandomNnx(nnx.Module):
    """Random layers, of batches of images, in float64."""

    def __init__(self, rng, rngs):
        how, width = {"param_dtype": jnp.float64, "rngs": rngs}, int(rng.integers(2, 5)) * 2
        norms = [nnx.LayerNorm, nnx.RMSNorm, nnx.BatchNorm, lambda n, **how: nnx.GroupNorm(n, 2, **how)]
        self.layers = nnx.List([nnx.Conv(2, width, (3, 3), strides=int(rng.integers(1, 3)), **how)])
        self.layers += [norms[rng.integers(4)](width, **how), nnx.Dropout(0.5, rngs=rngs)]
        self.layers += [nnx.ConvTranspose(width, width, (2, 2), **how)] * int(rng.integers(2))
        self.attention = nnx.MultiHeadAttention(2, width, decode=False, **how) if rng.integers(2) else nnx.data(None)
        self.out = nnx.Linear(width, 3, use_bias=bool(rng.integers(2)), **how)
        nnx.update(self, jax.tree.map(lambda a: a.astype(jnp.float64), nnx.state(self, nnx.BatchStat)))

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.tanh(layer(x))
        h = x.mean(1)
        return self.out(h if self.attention is None else self.attention(h)).mean(1)


@pytest.mark.parametrize("rng", configurations(fast=[0, 1]), ids=range(20))
def test_random_nnx_modules_are_their_own_call(rng):
    with jax.enable_x64(True):
        module, x = RandomNnx(rng, nnx.Rngs(0)), jnp.asarray(IMAGES[:2], jnp.float64)
        network = from_nnx(module)
        module.set_attributes(nnx.Dropout, deterministic=True)
        graph, params, others = nnx.split(module, nnx.Param, ...)
        paths, structure = jnn.flatten(nnx.to_pure_dict(params)), jax.tree.structure(params)
        own = lambda p: jax.tree.unflatten(structure, [jnn.flatten(p)[path] for path in paths])
        first = lambda out: out[0] if network.stats else out
        ours = lambda p: first(network.function(p, x, key=None))
        theirs = lambda p: nnx.merge(graph, own(p), jax.tree.map(lambda a: a, others))(x)
        assert_same(ours, theirs, network.params)
        module.eval()
        evaluated = network.function(network.params, x, key=None, stats=network.stats or None)
        np.testing.assert_allclose(first(evaluated), module(x), rtol=1e-10)


def test_nnx_modules_are_drawn_and_their_noise_begins_at_the_key():
    network = from_nnx(Nnx)
    params = jnn.init(network.spec, KEY)
    theirs = Nnx(nnx.Rngs(jnn.path_key(KEY, "layers/1/kernel")))
    np.testing.assert_allclose(params["layers"]["1"]["kernel"], theirs.layers[1].kernel[...], rtol=1e-6)
    function = jax.jit(network.function)
    call = lambda key: np.asarray(function(params, IMAGES, key=key)[0])
    np.testing.assert_array_equal(call(NOISE), call(NOISE))
    assert np.abs(call(NOISE) - call(jax.random.key(8))).max() > 1e-3


@pytest.mark.slow
def test_nnx_modules_train_on_a_mesh():
    network = from_nnx(Nnx(nnx.Rngs(0)))
    check_trains(network, network.params, IMAGES)


def test_a_stream_that_is_handed_over_is_made_of_the_key():
    class Handed(nnx.Module):
        def __init__(self, *, rngs):
            self.fc, self.dropout = nnx.Linear(4, 4, rngs=rngs), nnx.Dropout(0.5)

        def __call__(self, x, rngs=None):
            return self.dropout(self.fc(x), rngs=rngs)

    network, x = from_nnx(Handed(rngs=nnx.Rngs(0))), jnp.ones((2, 4))
    assert jnn.abstract(from_nnx(Handed).spec) == jnn.abstract(network.spec)
    assert (network.function(network.params, x, key=NOISE) == 0).any()
    assert not (network.function(network.params, x, key=None) == 0).any()


def normed_spec():
    return {"norm": batch_norm_spec(8), "mlp": mlp_spec((8, 16, 3))}


def normed(p, x, stats=None, *, key):
    h, seen = batch_norm(p["norm"], x, stats and stats["norm"])
    return mlp(p["mlp"], h, rate=0.2, key=key), {"norm": seen}


STATS = {"norm": batch_norm_stats_spec(8)}
ROWS = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32)


def test_a_function_inside_linen_is_the_function_and_trains():
    module = to_linen(normed_spec(), normed, stats=STATS, momentum=0.5)
    variables = module.init(KEY, ROWS)
    params, stats = variables["params"], variables["batch_stats"]
    assert jax.tree.structure(params) == jax.tree.structure(jnn.init(normed_spec(), KEY))
    y, changed = module.apply(variables, ROWS, rngs={"dropout": NOISE}, mutable=["batch_stats"])
    assert np.abs(y - module.apply(variables, ROWS, mutable=["batch_stats"])[0]).max() > 0
    np.testing.assert_allclose(changed["batch_stats"]["norm"]["mean"], ROWS.mean(0) / 2, rtol=1e-4, atol=1e-5)
    evaluated = module.apply(variables, ROWS, use_running_average=True)
    np.testing.assert_allclose(evaluated, normed(params, ROWS, stats, key=None)[0], rtol=1e-5, atol=1e-6)

    class Theirs(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(to_linen(mlp_spec((8, 16, 4)), mlp, name="body")(x))

    theirs, labels = Theirs(), jnp.arange(16) % 3
    loss = lambda p: optax.softmax_cross_entropy_with_integer_labels(theirs.apply(p, ROWS), labels).mean()
    assert _falls(jax.jit(jax.value_and_grad(loss)), theirs.init(KEY, ROWS))


def _falls(loss_and_gradient, params):
    before, _ = loss_and_gradient(params)
    for _ in range(10):
        after, gradient = loss_and_gradient(params)
        params = jax.tree.map(lambda p, g: p - 0.2 * g, params, gradient)
    return after < before


def test_a_function_inside_nnx_is_the_function_and_trains():
    module = to_nnx(normed_spec(), normed, rngs=nnx.Rngs(0), stats=STATS, momentum=0.5)
    optimizer, labels = nnx.Optimizer(module, optax.sgd(0.2), wrt=nnx.Param), jnp.arange(16) % 3

    @nnx.jit
    def step(module, optimizer):
        loss = lambda net: optax.softmax_cross_entropy_with_integer_labels(net(ROWS), labels).mean()
        value, gradient = nnx.value_and_grad(loss)(module)
        optimizer.update(module, gradient)
        return value

    losses = [step(module, optimizer).item() for _ in range(10)]
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(module.stats["norm"]["mean"][...], ROWS.mean(0), rtol=1e-2, atol=1e-2)
    module.eval()
    p, stats = (nnx.to_pure_dict(nnx.state(module, kind)) for kind in (nnx.Param, nnx.BatchStat))
    np.testing.assert_allclose(
        module(ROWS), normed(p["params"], ROWS, stats["stats"], key=None)[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: from_linen(Nnx(nnx.Rngs(0)), IMAGES),
            TypeError,
            "expected a Linen module, found a Nnx. NNX: from_nnx",
        ),
        (lambda: from_linen(nn.Dense, IMAGES), TypeError, r"found the class Dense\. Make one: Dense\(\.\.\.\)"),
        (lambda: from_nnx(nn.Dense(3)), TypeError, r"found Dense of Linen: from_linen\(module, x\)"),
        (
            lambda: from_linen(nn.Dense(3), IMAGES).function(None, IMAGES, key=None),
            TypeError,
            r"from_linen: expected parameters first, a dict, found NoneType\. Give .*jnn\.init\(network\.spec, key\)",
        ),
        (lambda: to_nnx({"w": jnp.ones(3)}, mlp, rngs=nnx.Rngs(0)), TypeError, "to_nnx: expected a spec"),
        (
            lambda: to_nnx(mlp_spec((4, 2)), mlp, rngs=jax.random.key(0)),
            TypeError,
            r"to_nnx: expected rngs=nnx\.Rngs\(0\)",
        ),
        (lambda: from_nnx(lambda rngs: 3), TypeError, "expected an NNX module or what makes one of Rngs, found"),
        (lambda: to_linen({"w": jnp.ones(3)}, mlp), TypeError, "to_linen: expected a spec"),
        (lambda: from_nnx(Nnx(nnx.Rngs(0))).function({}, IMAGES, key=3), TypeError, "expected one PRNG key"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


class Picky(nn.Module):
    """It has errors of its own."""

    @nn.compact
    def __call__(self, x, scale):
        if x.ndim != 2:
            raise RuntimeError("rows only")
        return nn.Dense(2)(x) * scale


@pytest.mark.parametrize("jitted", [False, True])
def test_an_input_that_the_parameters_do_not_take_is_named(jitted):
    """By the example, or by the widths that parameters have; under jit and in a gradient as well."""
    linen = from_linen(Picky(), jnp.ones((1, 3)), jnp.ones((1, 2)))
    wrapped = from_nnx(lambda rngs: nnx.Sequential(nnx.Linear(3, 8, rngs=rngs), nnx.Linear(8, 2, rngs=rngs)))
    called = jax.jit if jitted else lambda f: f
    of = lambda network: called(lambda p, *x: jax.grad(lambda p: network.function(p, *x, key=None).sum())(p))
    p, q = (jnn.init(network.spec, KEY) for network in (linen, wrapped))
    for name, f, inputs in (
        ("linen", of(linen), (p, np.ones((4, 5)), 2.0)),
        ("nnx", of(wrapped), (q, np.ones((4, 5)))),
    ):
        wanted = rf"from_{name}: expected a shape such as float32\[4,3\] for inputs\[0\], found float32\[4,5\]\."
        with pytest.raises(ValueError, match=wanted):
            f(*inputs)
    with pytest.raises(ValueError, match=r"float32\[1,2\] for inputs\[1\], found float32\[1,3\]"):
        of(linen)(p, jnp.ones((4, 3)), jnp.ones((1, 3)))


def test_errors_that_no_shape_mends_stay_what_they_are():
    x = jnp.ones((1, 3))
    network = from_linen(Picky(), x, jnp.ones((1, 2)))
    p = jnn.init(network.spec, KEY)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'scale'"):
        network.function(p, jnp.ones((4, 3)), key=None)
    with pytest.raises(TypeError, match="unsupported operand"):
        network.function(p, jnp.ones((4, 3)), object(), key=None)
    for last in (lambda x: 1 // 0, lambda x: 1 // int(x.sum() > 1e9)):  # of which the second knows the values
        own = [lambda x: x]
        failing = from_linen(nn.Sequential([nn.Dense(2), lambda x, own=own: own[-1](x)]), x)
        own.append(last)
        with pytest.raises(ZeroDivisionError):
            failing.function(jnn.init(failing.spec, KEY), jnp.ones((4, 3)), key=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "mobilenet"])
def test_benchmarks_networks_of_linen_are_their_own_apply(name):
    x, module = problems.batch(name)["x"][:2], linen.NETWORKS[name]()
    network = from_linen(module, x)
    variables = jax.jit(module.init)({"params": KEY, "dropout": KEY}, x)
    how = {"rngs": {"dropout": NOISE}, "mutable": ["batch_stats"]}
    wanted, _ = jax.jit(lambda v: module.apply(v, x, **how))(variables)
    found = jax.jit(network.function)(variables["params"], x, key=NOISE)
    np.testing.assert_allclose(found[0] if network.stats else found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "cnn", "lstm", "mobilenet"])
def test_benchmarks_networks_of_nnx_are_drawn_and_are_their_own_call(name):
    x, make = jnp.asarray(problems.batch(name)["x"][:2]), nnx_networks.NETWORKS[name]
    network, module = from_nnx(make), make(nnx.Rngs(KEY))
    held = from_nnx(module).params
    assert jax.tree.map(jnp.shape, held) == jax.tree.map(jnp.shape, jnn.abstract(network.spec))
    module.set_attributes(deterministic=True, raise_if_not_found=False)
    found = jax.jit(network.function)(held, x, key=None)
    np.testing.assert_allclose(found[0] if network.stats else found, module(x), rtol=1e-4, atol=1e-5)
