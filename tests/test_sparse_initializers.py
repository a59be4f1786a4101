"""Initial values that are the identity or mostly zero: torch's, and what they are for."""

import jax
import numpy as np
import pytest
import torch

import jnn
from jnn import Param, initializers, layers

KEY = jax.random.key(0)


def drawn(init, **fans):
    return Param((2, 3), init, ("in", "out"), **fans).draw(KEY)


SLOW = pytest.mark.slow
MAPS = [((4, 6, 3), 1), ((2, 9, 1, 2, 5), 2), *(pytest.param((6, 4, 3, 5), n, marks=SLOW) for n in (1, 2, 3))]


@pytest.mark.parametrize(("size", "groups"), MAPS)
def test_dirac_is_torchs(size, groups):
    """Of odd windows; torch's even ones have their 1 behind the middle, where padding "SAME" has it before."""
    c_in, c_out, *spatial = size
    odd = [n | 1 for n in spatial]
    axes = (*"zyx"[3 - len(odd) :], "in", "out")
    theirs = torch.nn.init.dirac_(torch.empty(c_out * groups, c_in, *odd), groups).numpy()
    fans = {"fan_in": ("in",), "fan_out": ("out",), "receptive": axes[:-2]}
    param = Param((*odd, c_in, c_out * groups), initializers.dirac(groups), axes, **fans)
    ours = jax.jit(param.draw)(KEY)
    np.testing.assert_array_equal(np.moveaxis(ours, (-1, -2), (0, 1)), theirs)


@pytest.mark.parametrize("window", [(3, 4), pytest.param((1, 2), marks=SLOW)])
def test_a_dirac_convolution_is_the_identity(window):
    p = jnn.init(layers.conv_spec(4, 6, window, groups=2, init=initializers.dirac(2)), KEY)
    x = jax.random.normal(KEY, (5, 4, 4))
    y = jax.jit(lambda p, x: layers.conv(p, x, groups=2, padding="SAME"))(p, x).reshape(5, 4, 2, 3)
    np.testing.assert_array_equal(y[..., :2], x.reshape(5, 4, 2, 2))
    assert not y[..., 2].any()


@pytest.mark.parametrize("sparsity", [0.35, *(pytest.param(share, marks=SLOW) for share in (0.0, 0.9, 1.0))])
def test_sparse_is_torchs(sparsity):
    """As many zeros in each column, and no two columns with theirs at the same places; the rest is normal."""
    torch.manual_seed(0)
    theirs = torch.nn.init.sparse_(torch.empty(40, 300), sparsity, 0.5).numpy()
    fans = {"fan_in": ("in", "place"), "fan_out": ("out",)}
    param = Param((20, 300, 2), initializers.sparse(sparsity, 0.5), ("in", "out", "place"), **fans)
    ours = np.asarray(param.draw(KEY)).transpose(0, 2, 1).reshape(40, 300)
    np.testing.assert_array_equal((ours == 0).sum(0), (theirs == 0).sum(0))
    alone = initializers.sparse(sparsity, 0.5)(KEY, (20, 2, 300))
    np.testing.assert_array_equal((alone == 0).sum((0, 1)), (theirs == 0).sum(0))
    if 0 < sparsity < 1:
        np.testing.assert_allclose((ours == 0).mean(1), sparsity, atol=4 * (sparsity * (1 - sparsity) / 300) ** 0.5)
    if sparsity < 1:
        np.testing.assert_allclose(ours[ours != 0].std(), theirs[theirs != 0].std(), rtol=0.08)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: initializers.sparse(1.5), r"sparse: expected a share of zeros in \[0, 1\], found 1.5"),
        (lambda: initializers.sparse("0.5"), r"sparse: expected a share of zeros in \[0, 1\], found '0.5'"),
        (lambda: initializers.sparse(0.5, -1.0), r"sparse: expected a stddev in \[0, inf\], found -1.0"),
        (lambda: initializers.sparse(0.5)(KEY, ()), r"sparse: expected a shape of one axis or more"),
        (lambda: drawn(initializers.dirac()), r"Dirac.* needs fans, but"),
        (
            lambda: drawn(initializers.dirac(2), fan_in=("in",), fan_out=("out",)),
            r"Dirac\(groups=2\): the 3 outputs of the Param",
        ),
    ],
)
def test_bad_options_are_one_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()
