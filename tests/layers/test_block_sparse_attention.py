"""Attention of some blocks: against attention under the expanded mask, which torch has checked; work; patterns."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jnn.inspect import flops
from jnn.laws._dtypes import equations
from jnn.layers import (
    alibi,
    bigbird_blocks,
    block_sparse_attention,
    dot_product_attention,
    fixed_blocks,
    global_blocks,
    random_blocks,
    sliding_window_blocks,
    strided_blocks,
)
from tests.oracle import configurations


@pytest.mark.parametrize("rng", configurations(40, fast=[0, 1]), ids=range(40))
def test_it_is_attention_under_the_expanded_mask(rng):
    """Values and gradients in float64, with all that may be done to scores, in one program."""
    leading = tuple(int(n) for n in rng.integers(1, 3, rng.integers(0, 3)))
    m, n, rows, width, g, r, size = (int(x) for x in rng.integers(1, [7, 7, 4, 4, 3, 3, 5]))
    t, s, h, flip = m * rows, n * width, g * r, lambda: bool(rng.integers(2))
    blocks = rng.random((m, n)) < rng.choice([0.2, 0.5, 1.0])
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape))
    either = lambda *sizes: tuple(size if flip() else 1 for size in sizes)
    mask = jnp.asarray(rng.random((*(leading if flip() else ()), *either(t, s))) < 0.8) if flip() else None
    bias_shape = [(t, s), either(h, t, s), (*leading, *either(h, t, s))][rng.integers(3)]
    more = {"bias": draw(*bias_shape)} if flip() else {}
    more |= {"sinks": draw(h)} if flip() else {}
    more |= {"bias": alibi(h)} if "bias" not in more and flip() else {}
    fixed = {"causal": flip(), "window": int(rng.integers(1, 9)) if flip() else None, "cap": 3.0 if flip() else None}
    arrays = draw(*leading, t, h, size), draw(*leading, s, g, size), draw(*leading, s, g, size)
    given = {name: x for name, x in more.items() if isinstance(x, jax.Array)}
    allowed = jnp.asarray((np.kron(blocks, np.ones((rows, width))) > 0) & (True if mask is None else np.asarray(mask)))

    @jax.jit
    def both(arrays, given):
        def run(attend, mask):
            call = lambda arrays, given: attend(*arrays, mask, **fixed, **(more | given))
            out, back = jax.vjp(call, arrays, given)
            return out, back(jnp.cos(jnp.arange(out.size, dtype=out.dtype)).reshape(out.shape))

        return run(partial(block_sparse_attention, blocks=blocks), mask), run(dot_product_attention, allowed)

    with jax.enable_x64(True):
        ours, theirs = both(*jax.tree.map(lambda x: jnp.asarray(np.asarray(x, np.float64)), (arrays, given)))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-9), ours, theirs)


def test_scores_of_all_pairs_never_exist():
    """In no equation, forwards or backwards; FLOPs are those of the pairs that are seen, or less than twice them."""
    n, rows, h, size = 32, 16, 2, 4
    t, blocks = n * rows, bigbird_blocks(n)
    shape = jax.ShapeDtypeStruct((t, h, size), jnp.float32)
    attend = partial(block_sparse_attention, blocks=blocks, causal=True, bias=alibi(h))
    gradients = jax.grad(lambda *a: jnp.sum(attend(*a) ** 2), (0, 1, 2))
    jaxpr = jax.make_jaxpr(gradients)(shape, shape, shape).jaxpr
    largest = max(x.aval.size for eqn in equations(jaxpr) for x in eqn.outvars)
    visited = np.tril(blocks).sum() * rows * rows
    assert largest < 2 * visited * h < t * t * h
    pairs = int((np.kron(blocks, np.ones((rows, rows))) * np.tri(t)).sum())
    count = flops(attend, shape, shape, shape)
    assert count.model == 2 * 2 * h * size * pairs
    assert count.hardware < 2 * 2 * 2 * h * size * visited


@pytest.mark.slow
def test_memory_grows_with_the_length_and_not_with_its_square():
    def peak(n, attend):
        loss = lambda *a: jnp.sum(attend(*a) ** 2)
        shape = jax.ShapeDtypeStruct((64 * n, 2, 16), jnp.float32)
        compiled = jax.jit(jax.grad(loss, (0, 1, 2))).lower(shape, shape, shape).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    sparse = lambda n: peak(n, partial(block_sparse_attention, blocks=bigbird_blocks(n)))
    assert sparse(128) < 2.2 * sparse(64) < 0.5 * peak(64, dot_product_attention)


@pytest.mark.slow
def test_dropout_keeps_the_mean():
    q, k, v = jax.random.normal(jax.random.key(0), (3, 8, 2, 4))
    blocks = sliding_window_blocks(4, 2)
    attend = partial(block_sparse_attention, q, k, blocks=blocks)
    draws = jax.vmap(lambda key: attend(v, rate=0.5, key=key))(jax.random.split(jax.random.key(1), 8000))
    np.testing.assert_allclose(draws.mean(0), attend(v), atol=0.08)


def by_definition(n, sees):
    return np.array([[sees(i, j) for j in range(n)] for i in range(n)])


@pytest.mark.parametrize("n", [1, 5, 12])
def test_patterns_are_their_definitions(n):
    window = by_definition(n, lambda i, j: abs(i - j) < 2)
    ends = by_definition(n, lambda i, j: {i, j} & {0, n - 1} != set())
    np.testing.assert_array_equal(sliding_window_blocks(n, 2), window)
    np.testing.assert_array_equal(global_blocks(n, [0, -1]), ends)
    np.testing.assert_array_equal(
        strided_blocks(n, 3), by_definition(n, lambda i, j: abs(i - j) < 3 or (i - j) % 3 == 0)
    )
    np.testing.assert_array_equal(
        fixed_blocks(n, 4, summaries=2), by_definition(n, lambda i, j: i // 4 == j // 4 or j % 4 in (2, 3))
    )
    known, whole = window | ends, bigbird_blocks(n, random=2, seed=3)
    assert (whole >= known).all()
    np.testing.assert_array_equal((whole & ~known).sum(1), np.minimum((~known).sum(1), 2))


def test_chance_is_even_and_another_seed_is_another_pattern():
    drawn = np.stack([random_blocks(6, 2, seed=seed, beside=np.eye(6, dtype=bool)) for seed in range(2000)])
    np.testing.assert_allclose(drawn.mean(0), 0.4 * (1 - np.eye(6)), atol=0.05)
    assert (drawn[0] == random_blocks(6, 2, seed=0, beside=np.eye(6, dtype=bool))).all()


X = jnp.ones((6, 2, 4))
BLOCKS = sliding_window_blocks(3, 2)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: block_sparse_attention(X, X, X, blocks=jnp.asarray(BLOCKS)), TypeError, "a bool array of NumPy"),
        (lambda: block_sparse_attention(X, X, X, blocks=BLOCKS.astype(int)), TypeError, r"found int64\[3,3\]"),
        (lambda: block_sparse_attention(X, X, X, blocks=BLOCKS[0]), TypeError, r"found bool\[3\]"),
        (lambda: block_sparse_attention(X, X[:5], X[:5], blocks=BLOCKS), ValueError, r"divide 6 queries and 5 keys"),
        (lambda: block_sparse_attention(X, X, X, blocks=BLOCKS, rate=0.1), ValueError, "a rate of dropout needs a key"),
        (lambda: block_sparse_attention(X, X, X[:3], blocks=BLOCKS), ValueError, "block_sparse_attention: expected q"),
        (lambda: sliding_window_blocks(3, 0), ValueError, "sliding_window_blocks: expected window of 1 or more"),
        (lambda: strided_blocks(0, 2), ValueError, "strided_blocks: expected n of 1 or more"),
        (lambda: global_blocks(3, [3, -3]), ValueError, r"expected blocks in 0\.\.2, found \[3\]"),
        (lambda: global_blocks(3, [0.5]), ValueError, r"expected blocks in 0\.\.2, found \[0.5\]"),
        (lambda: random_blocks(3, -1, seed=0), ValueError, "random_blocks: expected count of 0 or more, found -1"),
        (lambda: random_blocks(3, 1.5, seed=0), ValueError, "count of 0 or more, found 1.5, which is no integer"),
        (lambda: random_blocks(3, 1, seed=0, beside=BLOCKS[0]), ValueError, r"beside bool\[3,3\], found bool\[3\]"),
        (lambda: random_blocks(3, 1, seed=0, beside=1 * BLOCKS), ValueError, r"bool\[3,3\], found int64\[3,3\]"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()
