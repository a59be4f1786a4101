"""Keys of rows: a part of the whole draw, through splitting, mapping and scanning; other draws, other generators."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.layers import dropout
from jnn.parallel.layers._row_keys import _places, row_keys

KEY = jax.random.key(3)
OFFSETS = np.array([0, 1, 6, 7])  # two runs of two rows
ROWS = OFFSETS + 2


def of_rows(key=KEY, first=2):
    return row_keys(key, OFFSETS, jnp.array(first))


@pytest.mark.parametrize(
    "draw",
    [
        lambda key, rows: jax.random.normal(key, (rows, 3, 5)),
        lambda key, rows: jax.random.normal(key, (rows, 3), jnp.bfloat16),
        lambda key, rows: jax.random.bits(key, (rows,), "uint8"),
        lambda key, rows: jax.random.bernoulli(jax.random.fold_in(key, 5), 0.3, (rows, 7)),
        lambda key, rows: jax.random.uniform(jax.random.split(key, (2, 3))[1, 2], (rows, 1, 2)),
        lambda key, rows: dropout(jnp.ones((rows, 9)), 0.5, key=key),
    ],
    ids=["normal", "bfloat16", "uint8", "folded", "split", "dropout"],
)
def test_law_a_draw_over_rows_is_that_part_of_the_whole_draw(draw):
    np.testing.assert_array_equal(draw(of_rows(), 4), draw(KEY, 12)[ROWS])


def test_law_every_other_draw_is_the_keys_own():
    np.testing.assert_array_equal(jax.random.bits(of_rows(), (1, 5)), jax.random.bits(KEY, (1, 5)))
    np.testing.assert_array_equal(jax.random.bits(of_rows()), jax.random.bits(KEY))


def test_it_goes_through_vmap_and_scan():
    keys = jax.random.split(KEY, 3)
    draw = lambda key: jax.random.bits(key, (4, 2))
    whole = jax.vmap(lambda key: jax.random.bits(key, (12, 2)))(keys)

    @jax.jit
    def ours(first):
        return jax.lax.scan(lambda _, key: (None, draw(key)), None, of_rows(keys, first))[1]

    found = jax.vmap(ours)(jnp.array([0, 2, 4]))
    for first, each in zip((0, 2, 4), found, strict=True):
        np.testing.assert_array_equal(each, whole[:, OFFSETS + first])


def test_what_is_no_key_stays_and_trees_stay_trees():
    tree = {"w": jnp.ones((2, 3)), "key": KEY, "none": None}
    found = row_keys(tree, OFFSETS, jnp.array(0))
    assert found["w"] is tree["w"]
    assert found.keys() == tree.keys()


def test_keys_of_another_generator_have_noise_of_their_own_for_every_part():
    keys = jax.random.split(jax.random.key(0, impl="rbg"), 2)
    one, other = (jax.random.key_data(row_keys(keys, OFFSETS, jnp.array(first))) for first in (0, 2))
    assert one.shape == other.shape == (2, 4)
    assert (one != other).any(-1).all()


def test_places_beyond_the_first_four_billion_numbers():
    """Of the last rows of a batch that has more elements than a word can count."""
    rows, shape = np.array([0, 1, 2**20, 2**20 + 3], np.uint32), (3, 40_000)
    high, low = (np.asarray(x, np.uint64) for x in _places(jnp.asarray(rows), shape))
    places = np.arange(np.prod(shape), dtype=np.uint64).reshape(shape)
    expected = rows.astype(np.uint64)[:, None, None] * np.uint64(np.prod(shape)) + places
    np.testing.assert_array_equal(high << np.uint64(32) | low, expected)
    assert high.max() > 0
