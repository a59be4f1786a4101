"""A checkpoint that does not fit what it is restored into: each path is named, nothing is cast, nothing is damage."""

import jax
import jax.numpy as jnp
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.train import Checkpoints, create_state
from jnn.train.checkpoint import CorruptCheckpoint
from jnn.train.checkpoint._load import read_arrays
from tests.train.checkpoint.trees import Anything, assert_equal


@pytest.mark.parametrize(("shape", "dtype"), [((2, 3), "int32"), ((6,), "float32"), ((3, 3), "float32")], ids=str)
def test_arrays_that_are_not_what_the_manifest_says(tmp_path, shape, dtype):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(Anything(jnp.int32(0), {"w": jnp.ones((2, 3))}), {})
    with pytest.raises(
        CorruptCheckpoint, match=r"leaves/w is stored as float32\[2, 3\]|its arrays cannot be read: OUT_OF_RANGE"
    ):
        read_arrays(tmp_path / "0", {"leaves/w": jax.ShapeDtypeStruct(shape, dtype)})


def test_every_path_that_does_not_fit_is_named(tmp_path):
    """A shape, a dtype, a missing and an extra path; nothing is cast, and nothing counts as damage."""
    leaf = lambda *shape, dtype=jnp.float32: jnp.zeros(shape, dtype)
    saved = Anything(jnp.int32(3), {"same": leaf(2), "shape": leaf(2, 3), "dtype": leaf(2), "old": leaf(1)})
    like = Anything(
        jnp.int32(0), {"same": leaf(2), "shape": leaf(3, 2), "dtype": leaf(2, dtype=jnp.bfloat16), "new": leaf(1)}
    )
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(saved, {})
        with pytest.raises(ValueError, match=r"checkpoint 3 in .* does not fit") as caught:
            checkpoints.restore(like)
        assert_equal(checkpoints.restore(saved).state, saved)
    for line in [
        "mistyped: leaves/dtype is float32[2], expected bfloat16[2]",
        "misshapen: leaves/shape is float32[2,3], expected float32[3,2]",
        "extra: leaves/old float32[1]",
        "missing: leaves/new float32[1]",
    ]:
        assert line in str(caught.value)
    assert "same" not in str(caught.value)


def test_a_sharding_that_does_not_divide_is_no_damage(tmp_path):
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    state = Anything(jnp.int32(0), {"w": jnp.ones(6)})
    spread = jax.ShapeDtypeStruct((6,), jnp.float32, sharding=NamedSharding(mesh, PartitionSpec("x")))
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state, {})
        with pytest.raises(ValueError, match="divi"):
            checkpoints.restore(state.replace(leaves={"w": spread}))


def test_another_optimizer_is_named(tmp_path):
    params = {"w": jnp.ones(3)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(create_state(params, optax.adam(0.1)), {})
        with pytest.raises(ValueError, match=r"missing: opt_state/0/trace/w float32\[3\]\nThe optimizer is") as e:
            checkpoints.restore(create_state(params, optax.sgd(0.1, momentum=0.9)))
        with pytest.raises(ValueError, match=r"(?m)^Build the state"):
            checkpoints.restore(create_state({"v": jnp.ones(3)}, optax.adam(0.1)))
    assert "extra: opt_state/0/mu/w float32[3]" in str(e.value)
