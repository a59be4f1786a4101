"""Trees of arrays as plain files: a list of native NumPy arrays, and JSON that says what they were.

    pack = Pack();  outline = pack.tree(tree);  pack.arrays, pack.dtypes   to be written
    unpack(outline, arrays, dtypes) -> tree                                what was read

Laws: what is unpacked is bit-equal to what was packed, for every dtype of JAX and typed keys of every kind; the arrays
need no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from jnn.param import is_key
from jnn.train.checkpoint._stored import unwords, words

Outline = Any  # JSON: the name of an array, null, or {"dict" | "list" | "tuple": ...}


class Pack:
    """Collects arrays and gives each a name.

    >>> import jax.numpy as jnp
    >>> pack = Pack()
    >>> outline = pack.tree({"x": np.ones(2), "more": (None, jnp.zeros(3, jnp.bfloat16))})
    >>> outline
    {'dict': [['x', 'arr_0'], ['more', {'tuple': [None, 'arr_1']}]]}
    >>> pack.dtypes, pack.arrays["arr_1"].dtype.name
    ({'arr_0': 'float64', 'arr_1': 'bfloat16'}, 'uint16')
    >>> unpack(outline, pack.arrays, pack.dtypes)["x"]
    array([1., 1.])
    """

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self.dtypes: dict[str, str] = {}

    def leaf(self, leaf: Any) -> str:
        """The name of an array.

        Raises:
          TypeError: it is none, of numbers, bools, text or keys.
        """
        array = leaf if is_key(leaf) else np.asarray(leaf)
        if array.dtype == object or getattr(array.dtype, "names", None):  # keys' dtypes have none
            raise TypeError(f"Pack: expected dicts, lists and tuples of arrays, found {type(leaf).__name__}.")
        name = f"arr_{len(self.arrays)}"  # as np.savez does
        self.dtypes[name], self.arrays[name] = str(array.dtype), np.asarray(words(array))
        return name

    def tree(self, tree: Any) -> Outline:
        """The outline of dicts, lists, tuples and Nones of arrays.

        Raises:
          TypeError: something else is in the tree.
        """
        if tree is None:
            return None
        if type(tree) is dict:
            return {"dict": [[name, self.tree(part)] for name, part in tree.items()]}
        if type(tree) in (list, tuple):
            return {type(tree).__name__: [self.tree(part) for part in tree]}
        return self.leaf(tree)


def unpack(outline: Outline, arrays: Mapping[str, np.ndarray], dtypes: Mapping[str, str]) -> Any:
    """The tree that was packed; arrays are NumPy's, but for keys, which are JAX's."""
    if outline is None:
        return None
    if isinstance(outline, str):
        return unwords(arrays[outline], dtypes[outline])
    ((kind, parts),) = outline.items()
    if kind == "dict":
        return {name: unpack(part, arrays, dtypes) for name, part in parts}
    return {"list": list, "tuple": tuple}[kind](unpack(part, arrays, dtypes) for part in parts)
