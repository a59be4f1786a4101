"""Pruning within an optimizer: exact zeros whatever stands before it, torch's pruned training, masks in the state."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from torch.nn.utils import prune as theirs

import jnn
from jnn import parallel
from jnn.compression import (
    cubic_sparsity,
    gradual_pruning,
    keep_pruned,
    magnitude_scores,
    masked,
    one_shot_sparsity,
    prune,
    sparsity,
)
from jnn.models import mlp, mlp_spec
from jnn.train import LossOutput, create_state, make_step
from tests.oracle import configurations

SPEC = mlp_spec((4, 8, 2))
P = jnn.init(SPEC, jax.random.key(0))
BATCH = {"x": np.random.default_rng(0).normal(size=(8, 4)).astype("f"), "y": np.ones((8, 2), "f")}


def loss(params, batch, ctx):
    return LossOutput(jnp.square(mlp(params, batch["x"], key=None) - batch["y"]).mean(-1))


def heavy(*last):
    """Momentum, and a decay that would move a weight from zero were it not there."""
    return optax.chain(optax.adamw(0.05, weight_decay=0.3), optax.trace(0.9), *last)


def test_by_a_schedule_weights_become_zero_and_stay_so():
    schedule = cubic_sparsity(0.8, 2, 8)
    optimizer = heavy(gradual_pruning(schedule, SPEC, every=2, globally=True))
    state, step = create_state(P, optimizer), make_step(loss, optimizer, jax.random.key(0))
    before = jax.tree.map(lambda x: np.ones(x.shape, bool), state.opt_state[-1].masks)
    for i in range(14):
        state, _ = step(state, BATCH)
        masks = jax.tree.map(np.asarray, state.opt_state[-1].masks)
        total = sum(mask.size for mask in jax.tree.leaves(masks))
        assert sparsity(masks).item() == pytest.approx(round(total * float(schedule(i - i % 2))) / total, abs=1e-6)
        for path, mask in jnn.flatten(masks).items():
            w = np.asarray(jnn.flatten(state.params)[path])
            assert (w[~mask] == 0).all()
            assert (w[mask] != 0).all()
            assert not (mask & ~jnn.flatten(before)[path]).any()
        before = masks
    assert sparsity(masks).item() == pytest.approx(0.8, abs=0.02)
    assert (np.asarray(state.params["fc0"]["b"]) != 0).all()


@pytest.mark.parametrize("rng", configurations(fast=[0]), ids=range(20))
def test_what_is_left_is_trained_as_by_torch(rng):
    """A pruned perceptron under AdamW, with torch's masks on its own weights."""
    sizes = [int(n) for n in rng.integers(2, 7, 3)]
    spec, x, y = mlp_spec(sizes), rng.normal(size=(5, sizes[0])), rng.normal(size=(5, sizes[2]))
    first, second = torch.nn.Linear(*sizes[:2]).double(), torch.nn.Linear(*sizes[1:]).double()
    p = {
        f"fc{i}": {"w": one.weight.detach().numpy().T.copy(), "b": one.bias.detach().numpy().copy()}
        for i, one in enumerate((first, second))
    }
    for module in (first, second):
        theirs.l1_unstructured(module, "weight", amount=0.5)
    adamw = torch.optim.AdamW([*first.parameters(), *second.parameters()], lr=0.02, weight_decay=0.1)
    for _ in range(4):
        adamw.zero_grad()
        out = second(torch.relu(first(torch.tensor(x))))
        (out - torch.tensor(y)).square().sum().backward()
        adamw.step()
    out = second(torch.relu(first(torch.tensor(x))))  # which masks what the last step has moved
    with jax.enable_x64(True):
        p = jax.tree.map(jnp.asarray, p)
        masks = prune(magnitude_scores(p, spec), 0.5)
        ours = optax.chain(optax.adamw(0.02, weight_decay=0.1), keep_pruned(masks))
        p = masked(p, masks)
        state, of = ours.init(p), lambda p: jnp.square(mlp(p, x, key=None) - y).sum()

        @jax.jit
        def step(p, state):
            updates, state = ours.update(jax.grad(of)(p), state, p)
            return optax.apply_updates(p, updates), state

        for _ in range(4):
            p, state = step(p, state)
        np.testing.assert_allclose(mlp(p, jnp.asarray(x), key=None), out.detach().numpy(), rtol=1e-8, atol=1e-8)


def test_masks_of_the_state_lie_as_the_weights_do():
    layout = parallel.layout(SPEC, "data=4,fsdp=2")
    optimizer = heavy(gradual_pruning(one_shot_sparsity(0.5), SPEC))
    state = parallel.sharded_state(optimizer, jax.random.key(0), layout)
    step = parallel.sharded_step(loss, optimizer, jax.random.key(0), layout)
    state, _ = step(state, BATCH)
    mask, w = state.opt_state[-1].masks["fc0"]["w"], state.params["fc0"]["w"]
    assert mask.sharding.spec == w.sharding.spec
    assert not mask.sharding.is_fully_replicated
    np.testing.assert_array_equal(np.asarray(w) == 0, ~np.asarray(mask))


def test_updates_of_a_narrower_dtype_leave_exact_zeros():
    p, optimizer = {"w": jnp.array([1.0, 0.1])}, keep_pruned({"w": jnp.array([True, False])})
    updates, _ = optimizer.update({"w": jnp.ones(2, jnp.bfloat16)}, optimizer.init(p), p)
    assert optax.apply_updates(p, updates)["w"].tolist() == [2, 0]


def test_masks_that_are_given_survive_the_steps():
    masks = prune(magnitude_scores(P, SPEC), 0.5)
    optimizer = heavy(keep_pruned(masks))
    state, step = create_state(P, optimizer), make_step(loss, optimizer, jax.random.key(0))
    for _ in range(2):
        state, _ = step(state, BATCH)
    for path, mask in jnn.flatten(masks).items():
        np.testing.assert_array_equal(np.asarray(jnn.flatten(state.params)[path]) != 0, mask)


def test_masks_may_be_remembered_in_place_of_the_optimizer():
    """By `ctx.memory`: what is below a mask stays as it was, but for decay."""

    def over(params, batch, ctx):
        return loss(masked(params, ctx.memory), batch, ctx)

    def remember(masks, params, stats, rows, step):
        return prune(magnitude_scores(params, SPEC), cubic_sparsity(0.5, 0, 4)(step), masks=masks)

    start = prune(magnitude_scores(P, SPEC), 0.0)
    sgd = optax.sgd(0.1)
    state = create_state(P, sgd, memory=start)
    step = make_step(over, sgd, jax.random.key(0), remember=remember)
    for _ in range(5):
        state, _ = step(state, BATCH)
    assert sparsity(state.memory).item() == 0.5
    later, _ = step(jax.tree.map(jnp.copy, state), BATCH)
    pruned = ~np.asarray(state.memory["fc0"]["w"])
    np.testing.assert_array_equal(state.params["fc0"]["w"][pruned], later.params["fc0"]["w"][pruned])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: keep_pruned({}).update(P, {}), r"keep_pruned: .* optimizer.update\(grads, state, params\)"),
        (lambda: gradual_pruning(one_shot_sparsity(0.5), SPEC, every=0), "every of 1 or more"),
        (lambda: gradual_pruning(one_shot_sparsity(0.5), SPEC, where="conv*"), "no weight fits"),
    ],
)
def test_errors(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_what_is_no_schedule_and_no_mask_is_said():
    with pytest.raises(
        TypeError, match=r"gradual_pruning: expected a schedule, found 0\.9\. Give one such as cubic_spars"
    ):
        gradual_pruning(0.9, SPEC)
    with pytest.raises(TypeError, match=r"keep_pruned: expected masks, arrays .*, found jnn\.Param at .fc0/b."):
        keep_pruned(SPEC)
    with pytest.raises(ValueError, match="keep_pruned: expected masks of 0 and 1, found others"):
        keep_pruned({"w": jnp.array([0.5])})
    with pytest.raises(ValueError, match=r"keep_pruned: found a mask .* for .v., which is nothing there; p has fc0/b"):
        keep_pruned({"v": jnp.ones(3, bool)}).init(P)
