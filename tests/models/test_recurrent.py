"""The recurrent classifier against torch, and what lengths mean to it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.layers import gru_cell, gru_cell_spec, lstm_cell_spec
from jnn.models import last_state, mean_state, recurrent_classifier, recurrent_classifier_spec
from tests.layers.recurrences import CELLS, SPECS, TORCH, from_torch, random_params, run_torch, torch_arrays
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(fast=(0, 1, 4, 9)), ids=range(20))
def test_matches_torch(rng):
    kind = ["lstm", "gru"][rng.integers(2)]
    b, t, d, h, vocab = (int(n) for n in rng.integers(2, 6, 5))
    tokens, lengths = rng.integers(0, vocab, (b, t)), rng.integers(1, t + 1, b)
    mean = bool(rng.integers(2))
    layer = TORCH[kind](d, h, batch_first=True, bidirectional=True)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)

    def ours(table, w, b, *cells):
        halves = {"forward": from_torch(kind, *cells[:4]), "backward": from_torch(kind, *cells[4:])}
        p = {"embed": {"table": table}, "layers": [halves], "out": {"w": w, "b": b}}
        readout = mean_state if mean else last_state
        return recurrent_classifier(p, tokens, lengths=lengths, key=None, cell=CELLS[kind], readout=readout)

    def theirs(table, w, b, *cells):
        x = table[torch.tensor(tokens)]
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        y, state = run_torch(layer, packed, cells)
        if mean:
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=t)
            return (y.sum(1) / torch.tensor(lengths)[:, None]) @ w + b
        h = state[0] if isinstance(state, tuple) else state
        return torch.cat([h[0], h[1]], dim=-1) @ w + b

    assert_matches_torch(ours, theirs, [draw(vocab, d), draw(2 * h, 3), draw(3), *torch_arrays(rng, kind, d, h, n=2)])


@pytest.mark.parametrize(("readout", "both_ways"), [(last_state, False), (last_state, True), (mean_state, True)])
def test_padding_changes_nothing(readout, both_ways):
    p = random_params(recurrent_classifier_spec(11, 3, 4, 2, layers=2, both_ways=both_ways))

    @jax.jit
    def both(tokens):
        run = partial(recurrent_classifier, p, key=None, readout=readout)
        return run(tokens, lengths=np.array([3, 5])), jnp.stack([run(tokens[0, :3]), run(tokens[1])])

    tokens = np.array([[1, 2, 3, 0, 0], [4, 5, 6, 7, 8]])
    padded, alone = both(tokens)
    np.testing.assert_allclose(padded, alone, rtol=1e-5, atol=1e-5)
    tokens[0, 3:] = 9
    np.testing.assert_array_equal(both(tokens)[0], padded)


@pytest.mark.parametrize("readout", [last_state, mean_state])
def test_an_empty_example_gives_the_bias(readout):
    p = random_params(recurrent_classifier_spec(11, 3, 4, 2))
    run = jax.jit(partial(recurrent_classifier, lengths=np.array([0, 5]), key=None, readout=readout))
    logits = run(p, np.ones((2, 5), int))
    np.testing.assert_allclose(logits[0], p["out"]["b"], rtol=1e-6)


@pytest.mark.parametrize(("cell_spec", "gates"), [(lstm_cell_spec, 4), (gru_cell_spec, 3)])
def test_the_spec_counts_what_the_architecture_says(cell_spec, gates):
    spec = recurrent_classifier_spec(100, 8, 16, 2, layers=2, cell_spec=cell_spec, both_ways=True)
    biases = 1 if cell_spec is lstm_cell_spec else 2
    cell = lambda d: gates * 16 * (d + 16 + biases)
    assert jnn.count_params(spec) == 100 * 8 + 2 * cell(8) + 2 * cell(32) + 32 * 2 + 2


def test_it_learns_which_token_came_first():
    """A memory task: the class is the first token, and seven tokens of noise follow it."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 4, (64, 8))
    p = jnn.init(recurrent_classifier_spec(4, 8, 16, 4, cell_spec=gru_cell_spec), jax.random.key(0))

    @jax.jit
    def update(p):
        loss = lambda p: jnn.losses.cross_entropy(
            recurrent_classifier(p, tokens, key=None, cell=gru_cell), jnp.asarray(tokens[:, 0])
        ).mean()
        value, grads = jax.value_and_grad(loss)(p)
        return jax.tree.map(lambda a, g: a - 1.0 * g, p, grads), value

    first = update(p)[1]
    for _ in range(150):
        p, value = update(p)
    assert value < 0.2 * first


@pytest.mark.parametrize(
    ("tokens", "lengths", "error", "message"),
    [
        (jnp.ones((2, 5)), None, TypeError, r"recurrent_classifier: expected integers, found float32\[2,5\]"),
        (jnp.array(1), None, ValueError, r"recurrent_classifier: expected an array of rank 1 or more, found int32\[\]"),
        (jnp.ones((0, 5), int), None, ValueError, r"recurrent_classifier: expected at least one example"),
        (jnp.full((2, 5), 11), None, ValueError, r"embed: expected tokens in 0..10"),
        (jnp.ones((2, 5), int), jnp.array([1, 6]), ValueError, r"rnn: expected lengths in 0..5"),
    ],
)
def test_bad_input_is_one_clear_error(tokens, lengths, error, message):
    p = random_params(recurrent_classifier_spec(11, 3, 4, 2))
    with pytest.raises(error, match=message):
        recurrent_classifier(p, tokens, lengths=lengths, key=None)


def test_forgetting_the_key_is_an_error():
    with pytest.raises(TypeError, match="key"):
        recurrent_classifier(random_params(recurrent_classifier_spec(11, 3, 4, 2)), jnp.ones((2, 5), int))


def test_torchs_cells_have_as_many_parameters():
    for kind, spec in SPECS.items():
        assert jnn.count_params(spec(3, 4)) == sum(w.numel() for w in TORCH[kind](3, 4).parameters())
