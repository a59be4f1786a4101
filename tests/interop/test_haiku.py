"""Haiku's functions as jnn's and back, against their own `apply` in float64; trained on a mesh. Needs dm-haiku."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jnn
from jnn.interop.haiku import from_haiku, to_haiku
from jnn.layers import batch_norm, batch_norm_spec, batch_norm_stats_spec
from jnn.models import mlp, mlp_spec
from tests.interop.imported import KEY, assert_same, check_trains
from tests.oracle import configurations

hk = pytest.importorskip("haiku", reason="of the extra `haiku`")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:haiku"),
]
IMAGES = np.random.default_rng(0).normal(size=(8, 6, 6, 2)).astype(np.float32)
NOISE = jax.random.key(7)


def net(x, is_training):
    """Batch statistics, noise, and a counter of its own."""
    h = hk.BatchNorm(True, True, 0.9)(hk.Conv2D(8, 3)(x), is_training)
    h = jax.nn.relu(h).mean((1, 2))
    h = hk.dropout(hk.next_rng_key(), 0.25, h) if is_training else h
    hk.set_state("calls", hk.get_state("calls", (), jnp.int32, jnp.zeros) + 1)
    attention = hk.MultiHeadAttention(2, 4, w_init=hk.initializers.VarianceScaling())
    normed = hk.LayerNorm(-1, True, True)(h)[:, None]
    h = h + attention(normed, normed, normed)[:, 0]
    return hk.Linear(3)(jax.nn.gelu(hk.Linear(16)(h)))


def random_function(rng):
    width, bias, stride = int(rng.integers(1, 5)) * 2, bool(rng.integers(2)), int(rng.integers(1, 3))
    norm = [lambda: hk.LayerNorm(-1, True, True), lambda: hk.RMSNorm(-1), lambda: hk.GroupNorm(2)][rng.integers(3)]
    last = [lambda: hk.nets.MLP([5, 3]), lambda: hk.Linear(3, with_bias=bias)][rng.integers(2)]
    return lambda x: last()(hk.Flatten()(jax.nn.silu(norm()(hk.Conv2D(width, 3, stride, with_bias=bias)(x)))))


@pytest.mark.parametrize("rng", configurations(), ids=range(20))
def test_random_functions_are_their_own_apply(rng):
    with jax.enable_x64(True):
        transformed, x = hk.transform(random_function(rng)), jnp.asarray(rng.normal(size=(4, 6, 6, 2)))
        network = from_haiku(transformed, x)
        params = jnn.init(network.spec, KEY)
        assert_same(lambda p: network.function(p, x, key=None), lambda p: transformed.apply(p, None, x), params)


def test_it_draws_what_haiku_draws():
    network = from_haiku(hk.transform_with_state(net), IMAGES, is_training=True)
    for path in ("conv2_d/w", "multi_head_attention/query/w", "linear/b"):
        layer, _, name = path.rpartition("/")
        drawn = jnn.init(network.spec, KEY)[layer][name]
        theirs, _ = hk.transform_with_state(net).init(jnn.path_key(KEY, path), IMAGES, True)
        np.testing.assert_allclose(drawn, theirs[layer][name], rtol=1e-5, atol=1e-6)


def test_noise_and_statistics_are_arguments():
    transformed = hk.transform_with_state(net)
    network = from_haiku(transformed, IMAGES, is_training=True)
    params, state = transformed.init(KEY, IMAGES, True)
    wanted, changed = transformed.apply(params, state, NOISE, IMAGES, True)
    y, seen = network.function(params, IMAGES, key=NOISE)
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-5)
    norm = "batch_norm/~/mean_ema"
    np.testing.assert_allclose(seen["batch_stats"][norm]["average"], changed[norm]["average"], rtol=1e-4, atol=1e-5)
    assert seen["memory"]["~"]["calls"].item() == 1
    later = {"batch_stats": seen["batch_stats"]}
    evaluated, _ = network.function(params, IMAGES, key=None, stats=later, is_training=False)
    wanted, _ = transformed.apply(params, changed, None, IMAGES, False)
    np.testing.assert_allclose(evaluated, wanted, rtol=1e-4, atol=1e-4)


def test_it_trains_on_a_mesh_with_statistics_and_memory():
    network = from_haiku(hk.transform_with_state(net), IMAGES, is_training=True)
    axes = {path: param.axes for path, param in jnn.flatten(network.spec).items()}
    assert axes["multi_head_attention/query/w"] == ("embed", "heads")
    assert axes["linear_1/w"] == ("hidden", "out") or axes["linear_1/w"] == ("embed", "hidden")
    function = lambda p, x, *, key, **how: network.function(p, x, key=key, is_training=key is not None, **how)
    state = check_trains(network._replace(function=function), jnn.init(network.spec, KEY), IMAGES)
    assert state.memory["~"]["calls"].item() == network.memory["~"]["calls"].item() + 3


def test_a_function_inside_haiku_is_the_function_and_trains():
    def normed(p, x, stats=None, *, key):
        h, seen = batch_norm(p["norm"], x, stats and stats["norm"])
        return mlp(p["mlp"], h, rate=0.2, key=key), {"norm": seen}

    spec = {"norm": batch_norm_spec(8), "mlp": mlp_spec((8, 16, 3))}
    stats = {"norm": batch_norm_stats_spec(8)}
    rows, labels = np.random.default_rng(1).normal(size=(16, 8)).astype(np.float32), jnp.arange(16) % 3
    theirs = hk.transform_with_state(lambda x, t: to_haiku(spec, normed, stats=stats, momentum=0.5)(x, is_training=t))
    params, state = theirs.init(KEY, rows, True)
    assert params["jnn"].keys() == jnn.flatten(spec).keys()

    def loss(params, state, key):
        logits, state = theirs.apply(params, state, key, rows, True)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), state

    losses = []
    for i in range(10):
        (value, state), gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, state, jax.random.key(i))
        params = jax.tree.map(lambda p, g: p - 0.2 * g, params, gradient)
        losses.append(value.item())
    assert losses[-1] < losses[0]
    mean = state["jnn"]["norm/mean"]
    np.testing.assert_allclose(mean, rows.mean(0), rtol=1e-2, atol=1e-2)
    ours = {"norm": {"scale": params["jnn"]["norm/scale"], "bias": params["jnn"]["norm/bias"]}, "mlp": {}}
    ours["mlp"] = {f"fc{i}": {name: params["jnn"][f"mlp/fc{i}/{name}"] for name in "wb"} for i in range(2)}
    running = {"norm": {"mean": mean, "var": state["jnn"]["norm/var"]}}
    evaluated, _ = theirs.apply(params, state, None, rows, False)
    np.testing.assert_allclose(evaluated, normed(ours, rows, running, key=None)[0], rtol=1e-5, atol=1e-6)


def test_bad_input_is_one_clear_error():
    with pytest.raises(TypeError, match=r"expected what hk\.transform or hk\.transform_with_state returns, found"):
        from_haiku(net, IMAGES)
    network = from_haiku(hk.transform(lambda x: hk.Linear(2)(jax.nn.relu(hk.Linear(8)(x)))), jnp.ones((1, 3)))
    params = jnn.init(network.spec, KEY)
    with pytest.raises(ValueError, match=r"from_haiku: .* float32\[4,3\] for inputs\[0\], found float32\[4,5\]\."):
        network.function(params, jnp.ones((4, 5)), key=None)
