"""Both directions: padded = torch's packed, parameters of their own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import jnn
from jnn.layers import bidirectional, bidirectional_spec
from tests.layers.recurrences import CELLS, SPECS, TORCH, from_torch, run_torch, sizes, torch_arrays
from tests.oracle import assert_matches_torch, configurations


@pytest.mark.parametrize("rng", configurations(21, fast=(0, 1, 8)), ids=range(21))
def test_padded_equals_torchs_packed_in_both_directions(rng):
    kind = sorted(CELLS)[rng.integers(3)]
    b, t, d, h = sizes(rng, 4)
    lengths = rng.integers(1, t + 1, b)
    layer = TORCH[kind](d, h, batch_first=True, bidirectional=True)

    def ours(x, *w):
        p = {"forward": from_torch(kind, *w[:4]), "backward": from_torch(kind, *w[4:])}
        y, carry = bidirectional(CELLS[kind], p, x, lengths=lengths)
        states = [*jax.tree.leaves(carry["forward"]), *jax.tree.leaves(carry["backward"])]
        return jnp.concatenate([y.reshape(b, -1), *states], axis=-1)

    def theirs(x, *w):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), True, enforce_sorted=False)
        y, state = run_torch(layer, packed, w)
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=t)
        states = state if isinstance(state, tuple) else (state,)
        return torch.cat([y.reshape(b, -1), *(s[i] for i in (0, 1) for s in states)], dim=-1)

    assert_matches_torch(
        ours, theirs, [rng.normal(size=(b, t, d)).astype(np.float32), *torch_arrays(rng, kind, d, h, n=2)]
    )


def test_both_directions_have_their_own_parameters():
    p = jnn.init(bidirectional_spec(SPECS["gru"](3, 4)), jax.random.key(0))
    assert not np.allclose(p["forward"]["input"]["w"], p["backward"]["input"]["w"])
