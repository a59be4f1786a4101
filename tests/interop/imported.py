"""What holds for every imported network: it trains by `make_step`, on a mesh as on one device."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import jnn
from jnn.interop import remember
from jnn.losses import cross_entropy
from jnn.parallel import layout, put_state, sharded_step
from jnn.train import LossOutput, create_state, make_eval, make_step

KEY, SGD = jax.random.key(0), optax.sgd(0.1, momentum=0.9)


def loss_of(network, **arguments):
    """Cross-entropy of an imported classifier."""

    def loss(params, batch, ctx):
        how = {"key": ctx.key} | ({"stats": ctx.stats} if network.stats else {})
        how |= {"memory": ctx.memory} if network.memory else {}
        out = network.function(params, batch["x"], **how, **arguments)
        logits, seen = out if network.stats or network.memory else (out, None)
        return LossOutput(cross_entropy(logits, batch["y"]), stats=seen)

    return loss


def begin(network, params):
    return create_state(params, SGD, stats=network.stats, memory=network.memory)


def classes(x, n=3):
    """A label of each example that can be learnt."""
    flat = np.asarray(x, np.float64).reshape(len(x), -1)
    return np.argmax(flat @ np.random.default_rng(1).normal(size=(flat.shape[1], n)), 1).astype(np.int32)


def check_trains(network, params, x, *, steps=3, noisy=False, learns=True):
    """Steps on `data=2,fsdp=2` are those on one device, some parameter lies in pieces, and the loss falls."""
    loss, batch = loss_of(network), {"x": x, "y": classes(x)}
    more = {"remember": remember} if network.memory else {}
    place = layout(network.spec, jnn.parallel.mesh("data=2,fsdp=2", jax.devices()[:4]))
    assert any("fsdp" in str(s.spec) for s in jax.tree.leaves(place.parameters))
    single, many = begin(network, params), put_state(begin(network, params), place)
    one, four = make_step(loss, SGD, KEY, **more), sharded_step(loss, SGD, KEY, place, **more)
    losses = []
    for _ in range(steps):
        (single, metrics), (many, _) = one(single, batch), four(many, batch)
        losses.append(metrics["loss"].value().item())
    assert not learns or losses[-1] < losses[0]
    for a, b in zip(*map(jax.tree.leaves, ((single.params, single.stats), (many.params, many.stats))), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)
    assert jnp.isfinite(make_eval(loss)(single, batch)["loss"].value())
    return single


def assert_same(ours, theirs, p, tolerance=1e-10):
    """Equal outputs, and equal gradients of a random projection of them, of two functions of params."""

    def of(f):
        def projected(p):
            y = f(p)
            return jnp.sum(y * np.random.default_rng(0).normal(size=y.shape)), y

        (_, y), gradients = jax.jit(jax.value_and_grad(projected, has_aux=True))(p)
        return y, gradients

    (y, gradients), (wanted, expected) = of(ours), of(theirs)
    np.testing.assert_allclose(y, wanted, rtol=tolerance, atol=tolerance)
    for a, b in zip(jax.tree.leaves(gradients), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
