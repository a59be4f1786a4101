"""Models of images refuse those of other channels: none takes them for groups of what it was declared for."""

import jax
import numpy as np
import pytest

import jnn
from tests.table import zoo

OF_IMAGES = [row for row in zoo.BLOCKS if row.spec and (x := row.example(np.random.default_rng(0))[0]).ndim == 3]


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("row", OF_IMAGES, ids=lambda row: row.name)
def test_images_of_other_channels_are_refused(row, factor):
    x, *rest = row.inputs(2)
    shape = (*x.shape[:-1], factor * x.shape[-1])
    with pytest.raises(ValueError, match="expect"):
        jax.eval_shape(
            lambda p, x, *rest: row.apply(p, x, *rest, key=None),
            jnn.abstract(row.spec),
            jax.ShapeDtypeStruct(shape, x.dtype),
            *rest,
        )
