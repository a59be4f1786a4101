"""What a path is made of: known by shape and dtype at once, read when its turn comes.

Taken(sizes, shape, dtype, layers)      an array for `np.asarray`: one, or a stack that is filled layer by layer
stand_in(x) -> array                    of x's shape and dtype, and of one number in memory
to_numpy(x) -> array                    what NumPy makes of a tensor
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class Taken:
    """An array that is made each time that NumPy asks for it; nothing is kept.

    Args:
      sizes: how many layers lie along each leading axis; of what is not stacked, none.
      shape: of a layer.
      dtype: of the whole.
      layers: what makes each layer, along the last of these axes first; of what is not stacked, the only one.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        layers: Sequence[Callable[[], np.ndarray]],
    ) -> None:
        self.shape, self.dtype, self._layers, self._stacked = (*sizes, *shape), dtype, layers, len(sizes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self._stacked:
            made = np.empty(self.shape, self.dtype)
            one_by_one = made.reshape(-1, *self.shape[self._stacked :])
            for i, layer in enumerate(self._layers):
                one_by_one[i] = layer()
        else:
            made = np.array(self._layers[0](), copy=copy or None)
        return made.astype(dtype or self.dtype, copy=False)


def stand_in(x: Any) -> np.ndarray:
    """An array in x's place while only its shape and dtype count: nothing is read that says them itself."""
    if hasattr(x, "detach"):
        dtype = to_numpy(x.new_empty(0)).dtype
    else:
        x = x if isinstance(getattr(x, "dtype", None), np.dtype) else np.asarray(x)
        dtype = x.dtype
    return np.broadcast_to(np.zeros((), dtype), tuple(x.shape))


def to_numpy(x: Any) -> np.ndarray:
    """A tensor as NumPy has it; bfloat16, which it has not, exactly in float32."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()
        x = x.float() if str(x.dtype) == "torch.bfloat16" else x
    return np.asarray(x)
