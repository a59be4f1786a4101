"""Masks by scores: torch's of the same weights, N:M by hand, movement by its formula; no gradient of what is pruned."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.utils import prune as theirs

import jnn
from jnn.compression import (
    cubic_sparsity,
    iterative_sparsity,
    magnitude_scores,
    masked,
    movement_masked,
    one_shot_sparsity,
    prune,
    prune_n_of_m,
    saliency_scores,
    scores_spec,
    sparsity,
)
from jnn.layers import conv_spec, linear, linear_spec
from jnn.models import mlp_spec
from tests.oracle import configurations

X = jnp.arange(12.0).reshape(3, 4)
SPEC = linear_spec(4, 2)
P = {"w": jnp.array([[1.0, -4.0], [0.5, 3.0], [-2.0, 0.1], [6.0, -0.2]]), "b": jnp.ones(2)}


def drawn(rng):
    """Two layers of random sizes in float64, and torch's modules of the same weights."""
    sizes = rng.integers(2, 9, 3).tolist()
    spec = mlp_spec(sizes)
    p = {name: {k: rng.normal(size=one.shape) for k, one in layer.items()} for name, layer in spec.items()}
    modules = [torch.nn.Linear(*layer["w"].shape).double() for layer in p.values()]
    for module, layer in zip(modules, p.values(), strict=True):
        module.weight.data = torch.tensor(layer["w"].T.copy())
    return spec, p, modules


@pytest.mark.parametrize("globally", [False, True])
@pytest.mark.parametrize("rng", configurations(fast=range(3)), ids=range(20))
def test_masks_are_those_of_torch_and_what_was_pruned_stays_so(rng, globally):
    spec, p, modules = drawn(rng)
    masks = dict.fromkeys(p)
    for share in rng.uniform(0.1, 0.6, 2):  # of those that are left
        pairs = [(module, "weight") for module in modules]
        if globally:
            theirs.global_unstructured(pairs, theirs.L1Unstructured, amount=float(share))
        for pair in () if globally else pairs:
            theirs.l1_unstructured(*pair, amount=float(share))
        wanted = {name: module.weight_mask.numpy().T != 0 for name, module in zip(p, modules, strict=True)}
        with jax.enable_x64(True):
            scores = magnitude_scores(jax.tree.map(jnp.asarray, p), spec)
            if globally:
                pruned = 1 - np.concatenate([w.ravel() for w in wanted.values()]).mean()
                masks = prune(scores, float(pruned), globally=True, masks=None if None in masks.values() else masks)
            else:
                shares = {name: float(1 - own.mean()) for name, own in wanted.items()}
                masks = {name: prune(scores[name], shares[name], masks=masks[name]) for name in p}
        for name, expected in wanted.items():
            np.testing.assert_array_equal(masks[name]["w"], expected)


def test_a_traced_sparsity_prunes_as_many_and_equal_scores_go_by_their_place():
    scores = {"w": jnp.array([1.0, 1.0, 1.0, 2.0, 1.0])}
    for share in (0.0, 0.2, 0.5, 0.6, 1.0):
        mask = prune(scores, share)["w"]
        np.testing.assert_array_equal(mask, jax.jit(prune)(scores, jnp.float32(share))["w"])
        assert mask.sum() == 5 - round(5 * share)
        assert sparsity({"w": mask}).item() == pytest.approx(round(5 * share) / 5)
    assert prune(scores, 0.4)["w"].tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_n_of_m_neighbours_are_left_along_what_is_summed_over(rng):
    m, outs = int(rng.integers(2, 6)), int(rng.integers(1, 5))
    n = int(rng.integers(1, m + 1))
    spec = {
        "conv": conv_spec(2 * m, outs, (3, 3)),
        "fc": jnn.stack(linear_spec((3, m), (outs, 2), axes=("heads", "head", "a", "b")), 2),
    }
    scores = {name: {"w": jnp.asarray(rng.random(one["w"].shape), jnp.float32)} for name, one in spec.items()}
    masks = prune_n_of_m(scores, spec, n, m)
    for name, axes in (("conv", [2]), ("fc", [1, 2])):
        s, mask = (np.moveaxis(np.asarray(tree[name]["w"]), axes, range(-len(axes), 0)) for tree in (scores, masks))
        s, mask = (x.reshape(-1, m) for x in (s, mask))
        assert (mask.sum(1) == n).all()
        assert (np.where(mask, s, 9).min(1) >= np.where(mask, -9, s).max(1)).all()


def test_what_is_no_number_is_left_for_others_to_find():
    masks = prune({"w": jnp.array([1.0, jnp.nan, 3.0, 4.0])}, 0.25)
    assert masks["w"].tolist() == [False, True, True, True]


def test_what_is_pruned_has_no_gradient_and_what_is_left_has_its_own():
    masks = prune(magnitude_scores(P, SPEC), 0.5)
    of = lambda p: jnp.square(linear(masked(p, masks), X)).sum()
    got, plain = jax.grad(of)(P), jax.grad(lambda p: jnp.square(linear(p, X)).sum())(masked(P, masks))
    np.testing.assert_allclose(got["w"], plain["w"] * masks["w"], rtol=1e-6)
    np.testing.assert_allclose(got["b"], plain["b"], rtol=1e-6)
    assert (masked(P | {"w": P["w"] * jnp.inf}, masks)["w"][~masks["w"]] == 0).all()


def test_a_saliency_is_what_a_linear_function_loses():
    of = lambda p: linear(p, X).sum()
    found = saliency_scores(P, SPEC, jax.grad(of)(P))["w"]
    without = lambda i, j: abs(of(P) - of(P | {"w": P["w"].at[i, j].set(0)}))
    np.testing.assert_allclose(found, [[without(i, j) for j in range(2)] for i in range(4)], rtol=1e-4)


def test_movement_adds_up_what_the_paper_says_and_what_was_pruned_returns():
    scores, rate, w = jnn.init(scores_spec(SPEC), jax.random.key(0)), 0.3, dict(P)
    total, returned, before = np.zeros((4, 2)), False, None
    target = jnp.array([[1.0, -1.0]] * 3)
    for _ in range(6):
        of = lambda p, s: jnp.square(linear(movement_masked(p, s, 0.5), X / 12) - target).sum()
        dp, ds = jax.grad(of, (0, 1))(w, scores)
        mask = prune(scores, 0.5)["w"]
        dense = jax.grad(lambda p: jnp.square(linear(p, X / 12) - target).sum())(masked(w, {"w": mask}))["w"]
        np.testing.assert_allclose(ds["w"], dense * w["w"], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(dp["w"], dense * mask, rtol=1e-5, atol=1e-6)
        total -= np.asarray(dense * w["w"])
        returned |= before is not None and bool((mask & ~before).any())
        scores, before = jax.tree.map(lambda s, d: s - d, scores, ds), mask
        w = jax.tree.map(lambda x, d: x - rate / 10 * d, w, dp)
    np.testing.assert_allclose(scores["w"], total, rtol=1e-4, atol=1e-5)
    assert returned


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (
            cubic_sparsity(0.9, 10, 30, initial=0.1),
            lambda t: 0 if t < 10 else 0.9 - 0.8 * (1 - min(1, (t - 10) / 20)) ** 3,
        ),
        (one_shot_sparsity(0.7, 3), lambda t: 0.7 * (t >= 3)),
        (iterative_sparsity(0.2, 5, 3, begin=4), lambda t: 1 - 0.8 ** min(3, max(0, (t - 4) // 5 + 1))),
    ],
)
def test_schedules_are_their_formulas(schedule, wanted):
    steps = np.arange(45)
    np.testing.assert_allclose(jax.jit(schedule)(steps), [wanted(t) for t in steps], atol=1e-6)
    assert schedule(steps).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: magnitude_scores(P, P), TypeError, "expected a spec"),
        (lambda: magnitude_scores(P, SPEC, where="q/*"), ValueError, r"no weight fits where='q/\*'. There are: w."),
        (lambda: magnitude_scores({"b": P["b"]}, SPEC), ValueError, "found none at 'w'"),
        (lambda: prune(P, 0.9), TypeError, r"prune: .* found float32\[2\] at .b.\. .*magnitude_scores\(params, spec"),
        (lambda: prune(0.9, P), TypeError, r"prune: expected scores.* found float\."),
        (lambda: prune({}, 0.9), TypeError, r"prune: expected scores.* found \{\}"),
        (lambda: prune({"w": P["w"] > 0}, 0.5), TypeError, r"expected scores.* found bool\[4,2\] at .w."),
        (lambda: prune({"w": P["w"]}, 0.5, masks=0.5), TypeError, "prune: expected masks, arrays .* found float"),
        (
            lambda: prune({"w": P["w"]}, 0.5, masks=P),
            ValueError,
            "prune: found a mask .* for .b., which is nothing there",
        ),
        (lambda: prune_n_of_m(P, SPEC), TypeError, "prune_n_of_m: expected scores"),
        (lambda: prune_n_of_m({"w": P["w"]}, P), TypeError, "prune_n_of_m: expected a spec"),
        (lambda: movement_masked(P, 0.9, 0.5), TypeError, "expected scores.* found float"),
        (lambda: masked(P, 0.9), TypeError, r"masked: expected masks, arrays .* found float\. .*prune\(scores, spars"),
        (lambda: masked(P, P), ValueError, r"masked: expected masks of 0 and 1, found others in float32\[4,2\] at .w."),
        (lambda: sparsity(0.9), TypeError, "sparsity: expected masks"),
        (lambda: sparsity({}), ValueError, r"sparsity: expected masks, found \{\}"),
        (lambda: magnitude_scores(P, SPEC, where=0.9), TypeError, "expected patterns of paths as where.* 0.9"),
        (
            lambda: magnitude_scores({"w": P["b"]}, SPEC),
            ValueError,
            r"expected w \(4, 2\), as the spec declares it, found",
        ),
        (lambda: saliency_scores(P, SPEC, {"w": P["b"]}), ValueError, r"expected w \(4, 2\), as the spec declares it"),
        (lambda: prune({"w": P["w"]}, 1.5), ValueError, "expected sparsity from 0 to 1, found 1.5"),
        (lambda: prune_n_of_m({"w": P["w"]}, SPEC, 5, 4), ValueError, "at most 4 of 4 to be left, found n=5"),
        (lambda: prune_n_of_m({"w": P["w"]}, SPEC, 1, 3), ValueError, "w has 4 inputs, which 3 does not divide"),
        (lambda: prune_n_of_m({"v": P["w"]}, SPEC), ValueError, "scores for 'v', which spec does not declare"),
        (lambda: masked(P, {"v": P["w"]}), ValueError, "for 'v', which is nothing there; p has b, w"),
        (lambda: masked(P, {"w": P["b"]}), ValueError, r"a mask float32\[2\] for 'w', which is float32\[4,2\]"),
        (lambda: cubic_sparsity(0.9, 5, 5), ValueError, "an end after the step 5"),
        (lambda: cubic_sparsity(0.2, 0, 5, initial=0.8), ValueError, "final of initial=0.8 or more, found 0.2"),
        (partial(one_shot_sparsity, 2.0), ValueError, "expected final from 0 to 1, found 2.0"),
        (lambda: iterative_sparsity(0.2, 0, 1), ValueError, "expected every of 1 or more"),
    ],
)
def test_errors(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_scores_and_masks_of_any_kind_of_number_and_name_are_taken():
    pair = {"a": jnp.ones((2, 3), jnp.bfloat16), "b": jnp.arange(6.0).reshape(3, 2)}  # of low rank, no weight and bias
    assert prune(pair, 0.5)["b"].tolist() == [[False, False], [False, True], [True, True]]
    assert jax.eval_shape(lambda s: prune(s, 0.5), pair)["a"].shape == (2, 3)
    nothing = {"w": jnp.ones((0, 2), jnp.bfloat16)}
    assert masked(nothing, nothing)["w"].shape == (0, 2)
    with pytest.raises(TypeError, match=r"found float32\[2,3\] at .b."):  # of a stack of layers
        prune({"w": jnp.ones((2, 4, 3)), "b": jnp.ones((2, 3))}, 0.5)
