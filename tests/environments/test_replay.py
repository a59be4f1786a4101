"""A replay buffer holds the last rows, each once, and draws each as likely."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.environments import replay_add, replay_buffer, replay_sample

KEY = jax.random.key(0)


def example():
    return {"x": jax.ShapeDtypeStruct((2,), "float32"), "n": jax.ShapeDtypeStruct((), "int32")}


def rows(start, count):
    n = jnp.arange(start, start + count)
    return {"x": jnp.stack([n, 2 * n], -1).astype(float), "n": n}


@pytest.mark.parametrize("sizes", [(3,), (3, 4), (2, 2, 2, 2, 2), (7,), (1, 12, 3), (5, 5)])
def test_it_holds_the_last_rows_as_a_queue_does(sizes):
    buffer, seen, add = replay_buffer(example(), 5), 0, jax.jit(replay_add)
    for size in sizes:
        buffer, seen = add(buffer, rows(seen, size)), seen + size
        held = buffer["rows"]["n"][: buffer["size"]]
        assert sorted(held.tolist()) == list(range(max(0, seen - 5), seen))
        np.testing.assert_array_equal(buffer["rows"]["x"][: buffer["size"], 1], 2 * held)
        assert buffer["size"] == min(seen, 5)
        assert buffer["next"] == seen % 5
    assert buffer["rows"]["n"].dtype == jnp.int32


def test_it_draws_each_row_as_likely_and_none_that_is_not_there():
    buffer = replay_add(replay_buffer(example(), 50), rows(1, 4))
    drawn = replay_sample(buffer, 4000, KEY)
    np.testing.assert_allclose(np.bincount(drawn["n"], minlength=5) / 4000, [0, 0.25, 0.25, 0.25, 0.25], atol=0.03)
    np.testing.assert_array_equal(drawn["x"][:, 1], 2 * drawn["n"])


def test_an_empty_one_gives_zeros():
    assert replay_sample(replay_buffer(example(), 3), 2, KEY)["n"].tolist() == [0, 0]


INTO_INTEGERS = ["int32 float32", "uint8 int32", "uint32 int32", "int8 uint8", "bool int32"]
INTO_FLOATS = ["float16 float32", "bfloat16 float32", "float32 complex64"]


@pytest.mark.parametrize("dtypes", INTO_INTEGERS + INTO_FLOATS)
def test_rows_that_would_become_others_are_refused(dtypes):
    old, new = dtypes.split()
    buffer = replay_buffer({"a": {"x": jax.ShapeDtypeStruct((), old)}}, 3)
    for add in (replay_add, jax.jit(replay_add)):
        with pytest.raises(TypeError, match=rf"replay_add: 'a/x' holds {old}, which cannot hold all of {new}\. Cast"):
            add(buffer, {"a": {"x": jnp.ones(2, new)}})


@pytest.mark.parametrize(("old", "new"), [("float32", "bool"), ("float32", "bfloat16"), ("int32", "uint8")])
def test_rows_that_stay_what_they_are_are_cast(old, new):
    buffer = replay_add(replay_buffer(jax.ShapeDtypeStruct((), old), 3), jnp.ones(3, new))
    assert buffer["rows"].dtype == old
    assert buffer["rows"].tolist() == [1, 1, 1]


def test_numpys_wide_numbers_are_what_jax_makes_of_them():
    buffer = replay_buffer({"n": jax.ShapeDtypeStruct((), "int32")}, 2)
    assert replay_add(buffer, {"n": np.array([7, 8])})["rows"]["n"].tolist() == [7, 8]
    with pytest.raises(ValueError, match="replay_add: 'n' holds 1099511627776, first in row 1, beyond the int32"):
        replay_add(buffer, {"n": np.array([7, 2**40])})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: replay_buffer(example(), 0), "replay_buffer: expected capacity of 1 or more, found 0"),
        (lambda: replay_add(replay_buffer(example(), 3), {"n": jnp.arange(2)}), "replay_add: expected rows of shapes"),
        (
            lambda: replay_add(replay_buffer(example(), 3), rows(0, 2) | {"n": jnp.arange(3)}),
            r"replay_add: expected leaves of one length, found \[2, 3\]",
        ),
        (lambda: replay_sample(replay_buffer(example(), 3), 0, KEY), "replay_sample: expected n of 1 or more, found 0"),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()
