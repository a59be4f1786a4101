"""Training of a model on eight devices, whatever lies where, beside the same on one."""

import jax
import numpy as np

import jnn
from jnn.data import Batches
from jnn.parallel import layout, mesh, sharded_state, sharded_step
from jnn.train import create_state, fit, make_step


def assert_trains_as_on_one_device(text, spec, loss, optimizer, data):
    """Three steps over 16 rows: the losses on the mesh that the text describes are those of one device."""
    key, place = jax.random.key(0), layout(spec, mesh(text, jax.devices()[:8]))
    alone = make_step(loss, optimizer, key), create_state(jnn.init(spec, key), optimizer)
    spread = sharded_step(loss, optimizer, key, place), sharded_state(optimizer, key, place)
    one, many = (fit(*run, Batches(data, 16, seed=0), steps=3, every=1)[1] for run in (alone, spread))
    for a, b in zip(one, many, strict=True):
        np.testing.assert_allclose(a["train/loss"], b["train/loss"], rtol=1e-5)
