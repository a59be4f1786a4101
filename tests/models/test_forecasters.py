"""N-BEATS, N-HiTS, PatchTST and DeepAR: torch's, what their bases can draw, and what an output depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn

import jnn
from experiments.peers.torch_forecast import NBeats, NHits
from jnn.models import (
    deepar,
    deepar_sample,
    deepar_spec,
    nbeats,
    nbeats_spec,
    nhits,
    nhits_spec,
    patchtst,
    patchtst_spec,
)
from jnn.parity import check
from tests.models.images import images


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 3])
def test_nbeats_matches_torch(outputs):
    spec = nbeats_spec(10, 4, blocks=1, layers=2, width=8, outputs=outputs)
    module = NBeats(10, 4, 8, outputs, blocks=2, layers=2)
    check(lambda p, x: nbeats(p, x, 4), spec, module, images(3, 10))


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [1, 3])
def test_nhits_matches_torch(outputs):
    spec = nhits_spec(12, 6, pools=(4, 2, 1), steps=(3, 2, 1), width=8, outputs=outputs)
    check(lambda p, x: nhits(p, x, 6), spec, NHits(12, 6, (4, 2, 1), (3, 2, 1), 8, outputs), images(3, 12))


class TorchPatchTST(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.position = nn.Linear(4, 8), nn.Parameter(torch.randn(4, 8))
        layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, lambda x: nn.functional.gelu(x, approximate="tanh"),
                                           batch_first=True, norm_first=True)  # fmt: skip
        self.blocks = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
        self.out = nn.Linear(32, 15)

    def forward(self, x):
        h = self.blocks(self.patch(x.unfold(-1, 4, 2)) + self.position)
        return self.out(h.flatten(1)).view(-1, 5, 3)


ENCODER = "blocks.layers.{i}."
NAMES = {
    "position/table": "position",
    **{
        f"blocks/attention/{name}/{ours}": f"{ENCODER}self_attn.in_proj_{theirs}[{n}/3]"
        for n, name in enumerate("qkv")
        for ours, theirs in (("w", "weight"), ("b", "bias"))
    },
    "blocks/attention/o/*": f"{ENCODER}self_attn.out_proj.*",
    "blocks/norm*/*": f"{ENCODER}norm*.*",
    "blocks/up/*": f"{ENCODER}linear1.*",
    "blocks/down/*": f"{ENCODER}linear2.*",
    "norm/*": "blocks.norm.*",
}


@pytest.mark.slow
def test_patchtst_matches_torch():
    spec = patchtst_spec(10, 5, patch=4, stride=2, layers=2, heads=2, embed=8, hidden=16, outputs=3)
    check(lambda p, x: patchtst(p, x, key=None), spec, TorchPatchTST(), images(3, 10), names=NAMES)


def test_a_trend_is_a_polynomial_and_a_season_repeats_with_the_horizon():
    x = images(3, 14)
    p = jnn.init(nbeats_spec(14, 12, stacks=("trend",), blocks=2, layers=1, width=8, degree=2), jax.random.key(0))
    trend = np.asarray(nbeats(p, x, 12))[..., 0]
    assert abs(np.diff(trend, 3)).max() < 1e-5 * abs(trend).max() * 10
    assert abs(np.diff(trend, 2)).max() > 1e-4
    p = jnn.init(nbeats_spec(14, 12, stacks=("seasonality",), blocks=2, layers=1, width=8), jax.random.key(0))
    amplitudes = abs(np.fft.rfft(np.asarray(nbeats(p, x, 12))[..., 0]))
    assert amplitudes[:, 6].max() < 1e-4  # up to five cycles in a horizon
    assert amplitudes[:, 1:6].min() > 1e-4


def test_a_block_forecasts_straight_lines_between_its_knots():
    p = jnn.init(nhits_spec(8, 12, pools=(4,), steps=(6,), width=8), jax.random.key(0))
    found = np.asarray(nhits(p, images(3, 8), 12))[..., 0]
    np.testing.assert_allclose(np.diff(found, 2)[:, 3:7], 0, atol=1e-5)  # from the middle of one half to the other's
    np.testing.assert_allclose(np.diff(found)[:, [0, 1, -1]], 0, atol=1e-6)  # and level outside


def test_a_series_does_not_see_another():
    p = jnn.init(patchtst_spec(12, 3, patch=4, stride=4, layers=1, heads=2, embed=4, hidden=8), jax.random.key(0))
    slope = jax.jacobian(lambda x: patchtst(p, x, key=None)[..., 0])(images(2, 12))
    assert (np.asarray(slope)[[0, 1], :, [1, 0]] == 0).all()
    assert (np.asarray(slope)[[0, 1], :, [0, 1]] != 0).all()


def test_sampled_step_by_step_is_taught_by_the_sample():
    """What a path's draws were drawn from is what the network says of the whole path."""
    p = jnn.init(deepar_spec(2, 6), jax.random.key(0))
    y, known = images(3, 5), images(3, 9, 2)
    _, carry = deepar(p, y[:, :-1], known[:, 1:5], key=None)
    draw = lambda outputs, key: outputs[..., 0] + jnp.exp(outputs[..., 1])  # the same whatever the key
    path = deepar_sample(p, carry, y[:, -1], known[:, 5:], draw, key=jax.random.key(1))
    taught, _ = deepar(p, jnp.concatenate([y, path[:, :-1]], 1), known[:, 1:], key=None)
    np.testing.assert_allclose(path, draw(taught[:, 4:], None), rtol=1e-5, atol=1e-6)


def test_bad_input_is_one_clear_error():
    with pytest.raises(ValueError, match=r"nbeats_spec: expected stacks of 'generic', .* found \('season',\)"):
        nbeats_spec(14, 7, stacks=("season",))
    for basis, terms, own in (("generic", 4, 7), ("seasonality", 3, 5)):
        p = jnn.abstract(nbeats_spec(14, 7, stacks=(basis,)))
        with pytest.raises(ValueError, match=f"found 4, which takes {terms} terms where the parameters .* have {own}"):
            jax.eval_shape(lambda p, x: nbeats(p, x, 4), p, jnp.ones(14))
    with pytest.raises(ValueError, match=r"nhits_spec: expected a pool for each block, which divides 14"):
        nhits_spec(14, 7, pools=(4,), steps=(1,))
    with pytest.raises(ValueError, match=r"patchtst_spec: expected a context of patch=4 and .* found 15"):
        patchtst_spec(15, 7, patch=4, stride=2)
    p = jnn.abstract(patchtst_spec(16, 7, patch=4, stride=2))
    with pytest.raises(ValueError, match="patchtst: found 17 steps, where p has 7 patches of 4 steps"):
        jax.eval_shape(lambda p, x: patchtst(p, x, key=None), p, jnp.ones(17))
    with pytest.raises(ValueError, match=r"deepar: expected known features \(\*\(5,\), known\)"):
        jax.eval_shape(
            lambda p, x: deepar(p, x, jnp.ones((4, 2)), key=None), jnn.abstract(deepar_spec(2, 4)), jnp.ones(5)
        )
    known = jnp.ones((5, 2), jnp.int32)
    with pytest.raises(TypeError, match="deepar: expected known features of floating point, found int32"):
        jax.eval_shape(lambda p, x: deepar(p, x, known, key=None), jnn.abstract(deepar_spec(2, 4)), jnp.ones(5))
    with pytest.raises(ValueError, match=r"patchtst_spec: expected .* strides 0 more"):
        patchtst_spec(16, 7, patch=4, stride=0)
    with pytest.raises(ValueError, match=r"nhits_spec: expected a pool .* found \(2,\) and \(0,\)"):
        nhits_spec(14, 7, pools=(2,), steps=(0,))
    p = jnn.abstract(nhits_spec(14, 7, pools=(2,), steps=(1,)))
    with pytest.raises(ValueError, match="nhits: found 15 steps, which are not 7 windows of one size"):
        jax.eval_shape(lambda p, x: nhits(p, x, 7), p, jnp.ones(15))


def test_known_features_of_another_dtype_leave_the_values_theirs():
    with jax.enable_x64(True):
        p = jnn.abstract(deepar_spec(2, 4))
        before, known = jnp.ones(5, jnp.float32), jnp.ones((5, 2), jnp.float64)
        assert jax.eval_shape(lambda p, x: deepar(p, x, known, key=None)[0], p, before).dtype == jnp.float32
