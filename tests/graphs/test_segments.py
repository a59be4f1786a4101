"""Segment operations against loops; ties, empty segments, what is masked or out of range; batching; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn import graphs
from jnn.graphs import batch_graphs, graph, segment_count, segment_max, segment_mean, segment_softmax, segment_sum
from tests.oracle import assert_matches_torch, configurations

BRUTE = {"sum": lambda v: v.sum(0), "mean": lambda v: v.mean(0), "max": lambda v: v.amax(0)}
OURS = {"sum": segment_sum, "mean": segment_mean, "max": segment_max}
HALF = np.full((2, 3), 0.5)
ROOM = {"nodes": 8, "edges": 8, "size": 2}


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_segments_and_their_gradients_match_loops_in_torch(rng):
    """With leading axes; ids below and beyond the segments, and masked ones that hold NaN."""
    b, e, n, f = rng.integers(1, 6, 4).tolist()
    x, ids, mask = rng.normal(size=(b, e, f)), rng.integers(-1, n + 1, (b, e)), rng.integers(0, 3, (b, e)) > 0
    spoilt = np.where(mask[..., None], x, np.nan)
    own = [[np.flatnonzero(mask[row] & (ids[row] == i)) for i in range(n)] for row in range(b)]

    def ours(x):
        kinds = [*OURS.values(), segment_softmax]
        return jnp.concatenate([kind(x, jnp.asarray(ids), n, mask=jnp.asarray(mask)).ravel() for kind in kinds])

    def theirs(x):
        none = 0 * x.nan_to_num().sum() + torch.zeros(f, dtype=x.dtype)
        shares = [[none] * e for _ in range(b)]
        for row, of_row in enumerate(own):
            for which in of_row:
                for i, share in zip(which, x[row, which].softmax(0), strict=True):
                    shares[row][i] = share
        found = [
            one(x[row, which]) if len(which) else none
            for one in BRUTE.values()
            for row in range(b)
            for which in own[row]
        ]
        return torch.cat([*found, *(share for of_row in shares for share in of_row)])

    with jax.enable_x64(True):
        assert_matches_torch(ours, theirs, [spoilt], tolerance=1e-9)
    counts = jax.jit(lambda ids, mask: (segment_count(ids, n, mask=mask), segment_count(ids, n)))(ids, mask)
    np.testing.assert_array_equal(counts[0], [[len(which) for which in of_row] for of_row in own])
    np.testing.assert_array_equal(counts[1], [[(row == i).sum() for i in range(n)] for row in ids])


@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_self_loops_are_one_more_edge_of_every_node(rng):
    """Counted in a matrix, from whom to whom."""
    n, e, shape = int(rng.integers(1, 6)), int(rng.integers(0, 9)), tuple(rng.integers(1, 4, rng.integers(0, 3)))
    ends = rng.integers(0, n, (2, *shape, e))
    mask = rng.random((*shape, e)) < 0.7 if rng.integers(2) else None
    found = graphs.with_self_loops(graphs.Edges(*map(jnp.asarray, ends), mask), n)
    assert (found.mask is None) == (mask is None)
    for at in np.ndindex(*shape):
        before, after = np.zeros((n, n), int), np.zeros((n, n), int)
        np.add.at(before, tuple(ends[:, *at][:, True if mask is None else mask[at]].reshape(2, -1)), 1)
        there = slice(None) if found.mask is None else np.asarray(found.mask[at])
        np.add.at(after, tuple(np.asarray(end[at])[there] for end in found[:2]), 1)
        np.testing.assert_array_equal(after, before + np.eye(n, dtype=int))


def test_equal_maxima_share_the_gradient_and_nothing_else_has_any():
    x, ids, mask = jnp.array([2.0, 2.0, 1.0, 9.0, -5.0]), jnp.array([0, 0, 0, 0, 2]), jnp.arange(5) != 3
    grad = jax.grad(lambda x: segment_max(x, ids, 4, mask=mask) @ jnp.array([6.0, 1.0, 3.0, 1.0]))(x)
    np.testing.assert_array_equal(grad, [3.0, 3.0, 0.0, 0.0, 3.0])


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("extreme", [np.inf, -np.inf, 3e38])
def test_extreme_maxima_are_what_they_are_with_a_gradient_that_is_shared(extreme, dtype):
    x, ids = jnp.array([extreme, extreme, -np.inf, 7.0], dtype), jnp.array([0, 0, 0, 2])
    found = segment_max(x, ids, 3)
    np.testing.assert_array_equal(found, jnp.array([extreme, 0, 7], dtype))
    grad = jax.jit(jax.grad(lambda x: segment_max(x, ids, 3).astype(jnp.float32) @ jnp.array([6.0, 1.0, 3.0])))(x)
    np.testing.assert_array_equal(grad, [2, 2, 2, 3] if extreme == -np.inf else [3, 3, 0, 3])


@pytest.mark.parametrize("ids", [np.array([-1, 3, 1]), np.array([2**32, -(2**32) + 1, 1])])
def test_an_id_that_is_none_reads_and_tells_nothing(ids):
    x = jnp.array([[1.0], [2.0], [3.0]])
    np.testing.assert_array_equal(graphs.gather(x, ids), [[np.nan], [np.nan], [2]])
    np.testing.assert_array_equal(graphs.gather(x.astype(int), ids)[:, 0], [np.iinfo(np.int32).min] * 2 + [2])
    np.testing.assert_array_equal(segment_sum(x, ids, 3), [[0], [3], [0]])


def test_many_messages_of_16_bits_add_up():
    ones, ids = jnp.ones(1024, jnp.bfloat16), jnp.zeros(1024, jnp.int32)
    assert segment_sum(ones, ids, 1).item() == 1024
    read = jax.grad(lambda x: graphs.gather(x, ids).sum(dtype=jnp.float32))
    assert read(jnp.ones(3, jnp.bfloat16)).tolist() == [1024, 0, 0]


def test_a_batch_holds_every_graph_and_says_what_fills_it_up():
    one = graph(np.ones((2, 3), np.float32), [0, 1], [1, 1], np.ones((2, 1)))
    two = graph(np.full((1, 3), 2, np.float32), [0], [0], np.full((1, 1), 2.0))
    batch = batch_graphs([one, two], nodes=5, edges=4, size=3)
    assert batch.owners[:3].tolist() == [0, 0, 1]
    assert batch.edges.senders[:3].tolist() == [0, 1, 2]
    assert batch.edges.receivers[:3].tolist() == [1, 1, 2]
    assert batch.nodes[:, 0].tolist() == [1, 1, 2, 0, 0]
    assert batch.edge_features[:, 0].tolist() == [1, 1, 2, 0]
    assert [m.sum() for m in (batch.node_mask, batch.edges.mask, batch.graph_mask)] == [3, 3, 2]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: graph(np.ones((2, 3)), [0], [2]), ValueError, r"expected edges in 0..1 \(2 nodes\), found 0..2"),
        (
            lambda: graph(HALF, np.array([0.9]), [1]),
            TypeError,
            r"graph: expected senders, integers, found float64\[1\]",
        ),
        (lambda: graph(HALF, [0], [True]), TypeError, r"graph: expected receivers, integers, found bool\[1\]"),
        (
            lambda: batch_graphs([graph(HALF, [0], [1])._replace(edges=graphs.Edges(HALF[0], HALF[0]))], **ROOM),
            TypeError,
            r"batch_graphs: expected senders, integers, found float64\[3\]",
        ),
        (lambda: graph(np.ones((2, 3)), [0], []), ValueError, "one receiver for each of 1 senders, found 0"),
        (lambda: batch_graphs([], nodes=1, edges=1, size=1), ValueError, "expected one graph or more that fit"),
        (
            lambda: batch_graphs([graph(np.ones((2, 3)), [0], [1])], nodes=1, edges=1, size=1),
            ValueError,
            "that fit into .*'nodes': 1.*found .*'nodes': 2",
        ),
        (lambda: segment_sum(jnp.ones(3), jnp.ones(3), 2), TypeError, "expected ids that are integers, found float32"),
        (lambda: segment_softmax(jnp.ones(3), jnp.ones(3), 2), TypeError, "ids that are integers, found float32"),
        (lambda: graphs.gather(jnp.ones(3), jnp.ones(3)), TypeError, "ids that are integers, found float32"),
        (lambda: segment_sum(jnp.ones(3), jnp.ones(2, int), 2), ValueError, "a message for each id"),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("kind", [np.int8, np.uint8])
def test_segments_may_be_more_than_their_integers_reach(kind):
    ids, messages = np.array([[0, 100], [127, 3]]), jnp.ones((2, 2))
    found = graphs.segment_sum(messages, ids.astype(kind), 200)
    np.testing.assert_array_equal(found, graphs.segment_sum(messages, ids, 200))
