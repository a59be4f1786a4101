"""CTC and the transducer against torch and against sums over all paths; chunked cross-entropy against the plain one."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from jnn.losses import chunked_cross_entropy, cross_entropy, ctc_alignment, ctc_loss, transducer_loss
from tests.oracle import assert_matches_torch, configurations

LENGTHS = np.int32([0, 1, 2, 3, 5, 5]), np.int32([0, 1, 0, 2, 2, 1])


def log_softmax(x):
    return x - np.log(np.exp(x - x.max(-1, keepdims=True)).sum(-1, keepdims=True)) - x.max(-1, keepdims=True)


def spelled(path, blank):
    return tuple(k for k, _ in itertools.groupby(path) if k != blank)


def ctc_by_paths(logits, labels, frames, count, blank):
    """Minus the log of the sum over every path that spells the labels."""
    log_p, target = log_softmax(logits.astype(np.float64)), tuple(labels[:count])
    paths = itertools.product(range(logits.shape[-1]), repeat=int(frames))
    of = [sum(log_p[t, k] for t, k in enumerate(path)) for path in paths if spelled(path, blank) == target]
    return -np.logaddexp.reduce(of) if of else np.inf


def transducer_by_paths(logits, labels, frames, count, blank):
    """Minus the log of the sum over every order of the labels and of a blank for each frame, a blank being the last."""
    log_p, total = log_softmax(logits.astype(np.float64)), []
    for said in itertools.combinations(range(frames + count - 1), count) if frames else ():
        t = u = 0
        score = 0.0
        for step in range(frames + count):
            score += log_p[t, u, labels[u] if step in said else blank]
            t, u = (t, u + 1) if step in said else (t + 1, u)
        total.append(score)
    return -np.logaddexp.reduce(total) if total else np.inf


@functools.partial(jax.jit, static_argnums=0, static_argnames="blank")
def with_gradient(loss, logits, *rest, blank):
    """Values, and the gradient of the sum of what is finite."""

    def total(logits):
        values = loss(logits, *rest, blank=blank)
        return jnp.sum(jnp.where(jnp.isfinite(values), values, 0)), values

    (_, values), gradient = jax.value_and_grad(total, has_aux=True)(logits)
    return values, gradient


CASES = {ctc_loss: (ctc_by_paths, (5, 3)), transducer_loss: (transducer_by_paths, (5, 3, 3))}


@pytest.mark.parametrize("loss", CASES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_is_the_sum_over_all_paths_and_its_gradient(loss, rng):
    """Of every kind of length: none, impossible ones, equal neighbours; padding may hold anything."""
    by_paths, shape = CASES[loss]
    blank, (frames, counts) = int(rng.integers(3)), LENGTHS
    symbols = np.delete(np.arange(3), blank)
    labels = rng.choice(symbols, (6, 2)).astype(np.int32)
    labels[4] = labels[4, 0]  # equal neighbours, of which CTC needs three frames
    logits = rng.normal(scale=2, size=(6, *shape))
    labels[np.arange(2) >= counts[:, None]] = -7
    with jax.enable_x64(True):
        values, gradient = with_gradient(loss, logits, labels, frames, counts, blank=blank)
    expected = [by_paths(*row, blank) for row in zip(logits, labels, frames, counts, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)
    assert (np.asarray(gradient)[np.isinf(values)] == 0).all()
    direction = rng.normal(size=logits.shape)
    moved = [
        sum(
            v
            for row in zip(logits + step * direction, labels, frames, counts, strict=True)
            if np.isfinite(v := by_paths(*row, blank))
        )
        for step in (1e-5, -1e-5)
    ]
    np.testing.assert_allclose((np.asarray(gradient) * direction).sum(), (moved[0] - moved[1]) / 2e-5, rtol=1e-6)
    for row, frame in zip(np.asarray(gradient), frames, strict=True):
        assert (row[frame:] == 0).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_an_alignment_is_the_likeliest_of_all_paths(rng):
    """Of every kind of length, as above; under `jit`, and each example alone and without its padding."""
    blank, (frames, counts) = int(rng.integers(3)), LENGTHS
    labels = rng.choice(np.delete(np.arange(3), blank), (6, 2)).astype(np.int32)
    labels[4] = labels[4, 0]
    logits = rng.normal(scale=2, size=(6, 5, 3))
    with jax.enable_x64(True):
        places, scores = jax.jit(lambda *a: ctc_alignment(*a, blank=blank))(logits, labels, frames, counts)
        alone = ctc_alignment(logits[3, :3], labels[3], jnp.array(3), jnp.array(2), blank=blank)
    np.testing.assert_array_equal(alone.places, places[3, :3])
    np.testing.assert_allclose(alone.score, scores[3])
    for x, target, n, u, own, score in zip(logits, labels, frames, counts, np.asarray(places), scores, strict=True):
        log_p, wanted = log_softmax(x), tuple(target[:u])
        of = lambda path, log_p=log_p: sum(log_p[t, k] for t, k in enumerate(path))
        paths = [path for path in itertools.product(range(3), repeat=int(n)) if spelled(path, blank) == wanted]
        np.testing.assert_allclose(score, max(map(of, paths)) if paths else -np.inf)
        assert (own[n:] == -1).all()
        if paths:
            path = np.where(own[:n] < 0, blank, target[own[:n]])
            assert spelled(path, blank) == wanted
            np.testing.assert_allclose(of(path), score, atol=1e-12)
        else:
            assert (own == -1).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_ctc_matches_torch(rng):
    frames, most, symbols, n = 12, 5, 6, 4
    labels = rng.integers(1, symbols, (n, most)).astype(np.int32)
    logit_lengths, label_lengths = rng.integers(10, frames + 1, n), rng.integers(0, most + 1, n)

    def theirs(logits):
        log_p = logits.log_softmax(-1).swapaxes(0, 1)
        lengths = map(torch.tensor, (logit_lengths, label_lengths))
        return F.ctc_loss(log_p, torch.tensor(labels), *lengths, reduction="none")

    ours = lambda x: ctc_loss(x, labels, jnp.asarray(logit_lengths), jnp.asarray(label_lengths))
    assert_matches_torch(ours, theirs, [rng.normal(scale=3, size=(n, frames, symbols)).astype(np.float32)])


@pytest.mark.parametrize(("size", "found"), [(4e29, True), (6e29, False), (1e31, False), (3e38, False)])
def test_what_would_cost_5e29_is_impossible(size, found):
    logits = jnp.float32(size) * jax.nn.one_hot(jnp.array([0]), 3)
    given = jnp.array([1]), jnp.array(1), jnp.array(1)
    joint = jnp.stack([logits, jnp.zeros_like(logits)], 1)  # the label, and then a blank, which is one of three
    for loss, x in ((ctc_loss, logits), (transducer_loss, joint)):
        value, gradient = jax.value_and_grad(loss)(x, *given)
        assert float(value) == (pytest.approx(size) if found else np.inf)
        assert bool(gradient.any()) == found
    assert float(ctc_alignment(logits, *given).score) == (pytest.approx(-size) if found else -np.inf)


@pytest.mark.parametrize("size", [0.0, 1e4, 1e30])
@pytest.mark.parametrize("loss", CASES, ids=lambda f: f.__name__)
def test_gradients_are_finite_for_logits_of_any_size(loss, size):
    shape = CASES[loss][1]
    logits = np.float32(size) * np.random.default_rng(0).choice([-1, 0, 1], (6, *shape)).astype(np.float32)
    logits[..., 2] = -np.inf  # a symbol that is never said
    values, gradient = with_gradient(loss, logits, np.full((6, 2), 1, np.int32), *LENGTHS, blank=0)
    assert np.isfinite(gradient).all()
    assert not np.isnan(values).any()
    assert size == 1e30 or np.isfinite(values).any()


def test_the_transducer_holds_no_second_array_of_logits():
    frames, places, symbols = 32, 9, 512
    shapes = (
        jax.ShapeDtypeStruct((frames, places, symbols), jnp.float32),
        jax.ShapeDtypeStruct((places - 1,), jnp.int32),
    )
    gradient = jax.grad(lambda x, y: transducer_loss(x, y, jnp.int32(frames), jnp.int32(places - 1)))
    compiled = jax.jit(gradient).lower(*shapes).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 1.6 * frames * places * symbols * 4


def chunked_and_plain(x, table, labels, chunk, soft_cap, z_loss):
    def plain(x, table):
        logits = x @ table.T
        logits = logits if soft_cap is None else soft_cap * jnp.tanh(logits / soft_cap)
        return cross_entropy(logits, labels) + z_loss * jax.nn.logsumexp(logits, axis=-1) ** 2

    by_parts = lambda x, table: chunked_cross_entropy(x, table, labels, chunk=chunk, soft_cap=soft_cap, z_loss=z_loss)
    weighed = lambda f: jax.value_and_grad(lambda *a: (f(*a) @ np.arange(1.0, 6.0), f(*a)), (0, 1), has_aux=True)
    return jax.jit(lambda *a: (weighed(by_parts)(*a), weighed(plain)(*a)))(x, table)


@pytest.mark.parametrize(
    ("chunk", "soft_cap", "z_loss"),
    [
        (3, 5.0, 0.1),
        *(pytest.param(*c, marks=pytest.mark.slow) for c in [(1, None, 0.0), (7, None, 0.1), (99, 3.0, 0.0)]),
    ],
)
def test_chunks_are_the_plain_cross_entropy(chunk, soft_cap, z_loss):
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        arrays = rng.normal(scale=2, size=(5, 4)), rng.normal(scale=2, size=(11, 4)), rng.integers(0, 11, 5)
        ours, theirs = chunked_and_plain(*arrays, chunk, soft_cap, z_loss)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, theirs)


def test_the_logits_are_never_all_there():
    n, d, classes, chunk = 64, 8, 4096, 256
    shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((n, d), (classes, d))]
    labels = jnp.zeros(n, jnp.int32)

    def peak(loss):
        compiled = jax.jit(jax.grad(lambda x, table: loss(x, table).sum(), (0, 1))).lower(*shapes).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert peak(lambda x, table: cross_entropy(x @ table.T, labels)) > n * classes * 4
    assert peak(lambda x, table: chunked_cross_entropy(x, table, labels, chunk=chunk)) < n * classes * 4 / 2


def test_chunks_of_bfloat16_sum_their_gradient_in_float32():
    x, table = jnp.ones((1, 1), jnp.bfloat16), jnp.ones((512, 1), jnp.bfloat16).at[0].set(0)
    gradient = jax.jit(jax.grad(lambda x: chunked_cross_entropy(x, table, jnp.array([0]), chunk=1)[0]))(x)
    assert gradient.dtype == jnp.bfloat16
    np.testing.assert_allclose(gradient.astype(jnp.float32), 511 * np.e / (511 * np.e + 1), rtol=2**-8)


LOGITS, ONE = jnp.ones((2, 3, 4)), jnp.ones((2, 2), jnp.int32)
THREE, TWO = jnp.full(2, 3), jnp.full(2, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ctc_loss(LOGITS, ONE, THREE, TWO, blank=1), r"labels in 0\.\.3 other than the blank 1, found \[1\]"),
        (lambda: ctc_loss(LOGITS, ONE, THREE, TWO, blank=4), r"a blank in 0\.\.3, found 4"),
        (lambda: ctc_loss(LOGITS, ONE, THREE + 1, TWO), r"logit_lengths in 0\.\.3"),
        (lambda: ctc_loss(LOGITS, ONE, THREE, TWO + 1), r"label_lengths in 0\.\.2"),
        (lambda: ctc_loss(LOGITS, ONE, THREE[:1], TWO), r"logit_lengths \(2,\), one an example"),
        (lambda: ctc_loss(LOGITS[0], ONE, THREE, TWO), r"labels \(..., labels\), found float32\[3,4\]"),
        (lambda: ctc_alignment(LOGITS[0], ONE, THREE, TWO), r"ctc_alignment: .*labels \(..., labels\), found float32"),
        (lambda: transducer_loss(LOGITS[:, :, None], ONE, THREE, TWO), r"labels \+ 1, symbols\).*float32\[2,3,1,4\]"),
        (lambda: chunked_cross_entropy(LOGITS[0], LOGITS[0].T, ONE[0]), r"\('classes', 4\), found .*Turn it"),
        (lambda: chunked_cross_entropy(LOGITS[0], LOGITS[0], ONE[0]), r"expected labels \(3,\), found int32\[2\]"),
        (lambda: chunked_cross_entropy(LOGITS[0, :2], LOGITS[0], ONE[0] + 2), r"labels in 0\.\.2"),
        (lambda: chunked_cross_entropy(LOGITS[0, :2], LOGITS[0], ONE[0], chunk=0), "chunk of 1 class or more"),
        (lambda: chunked_cross_entropy(LOGITS[0, :2], LOGITS[0], ONE[0], soft_cap=0), "soft_cap > 0, found 0"),
    ],
)
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_what_is_out_of_range_under_jit_costs_nan_for_that_example():
    labels = jnp.array([[1, 2], [1, 9]])
    assert jnp.isnan(jax.jit(ctc_loss)(LOGITS, labels, THREE, TWO)).tolist() == [False, True]
    assert jnp.isnan(jax.jit(ctc_alignment)(LOGITS, labels, THREE, TWO).score).tolist() == [False, True]
    chunked = jax.jit(chunked_cross_entropy)(LOGITS[0, :2], LOGITS[0], jnp.array([2, 3]))
    assert jnp.isnan(chunked).tolist() == [False, True]
