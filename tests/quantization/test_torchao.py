"""Weights in 8 and 4 bits as torchao (extra `oracles`) rounds them, by its scales; it has one integer more below 0."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jnn.layers import dequantize_weight, integer_weight, linear, quantize_weight
from tests.oracle import configurations


@pytest.fixture(scope="module")
def torchao():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchao.quantization")


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("rng", configurations(fast=(0, 1)), ids=range(20))
def test_integers_are_torchaos(rng, bits, torchao):
    n, m, group = 32 * int(rng.integers(1, 4)), 2 * int(rng.integers(1, 8)), 32 if bits == 4 else None
    w = rng.normal(size=(n, m)).astype(np.float32)
    theirs = torch.nn.Linear(n, m, bias=False)
    theirs.weight.data = torch.tensor(w.T.copy())
    granularity = torchao.PerGroup(group) if group else torchao.PerAxis(0)
    how = torchao.IntxWeightOnlyConfig(weight_dtype=getattr(torch, f"int{bits}"), granularity=granularity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torchao.quantize_(theirs, how)
    scales = theirs.weight.scale.detach().numpy().reshape(m, -1).T
    found = integer_weight(jnp.asarray(w), jnp.asarray(scales), bits)
    whole = np.asarray(dequantize_weight(found)) / np.repeat(scales, n // len(scales), 0)
    want = theirs.weight.qdata.numpy().T.astype(int)
    most = 2 ** (bits - 1) - 1
    near = np.abs(np.abs(w / np.repeat(scales, n // len(scales), 0) % 1) - 0.5) > 1e-4  # no tie
    np.testing.assert_array_equal(np.round(whole)[near], np.maximum(want, -most)[near])
    # by our own scales, outputs are as near
    x = rng.normal(size=(64, n)).astype(np.float32)
    error = lambda y: np.square(np.asarray(y, np.float64) - x.astype(np.float64) @ w).mean()
    own = linear({"w": quantize_weight(jnp.asarray(w), bits=bits, group=group)}, x)
    assert error(own) < 1.25 * error(theirs(torch.tensor(x)).detach().numpy())
