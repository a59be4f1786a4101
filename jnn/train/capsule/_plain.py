"""Trees of arrays as plain files: a list of native NumPy arrays, and JSON that says what they were.

    pack = Pack();  outline = pack.tree(tree);  pack.arrays, pack.dtypes   to be written
    unpack(outline, arrays, dtypes) -> tree                                what was read
    encode(array) -> dtype, native array;  decode(native, dtype)           one array

Laws: what is unpacked is bit-equal to what was packed, for every dtype of JAX and typed keys of every kind; the arrays
need no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn.param import is_key

Outline = Any  # JSON: the name of an array, null, or {"dict" | "list" | "tuple": ...}


class Pack:
    """Collects arrays and gives each a name.

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
        name = f"arr_{len(self.arrays)}"  # as np.savez does
        self.dtypes[name], self.arrays[name] = encode(leaf)
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
        return decode(arrays[outline], dtypes[outline])
    ((kind, parts),) = outline.items()
    if kind == "dict":
        return {name: unpack(part, arrays, dtypes) for name, part in parts}
    return {"list": list, "tuple": tuple}[kind](unpack(part, arrays, dtypes) for part in parts)


def encode(leaf: Any) -> tuple[str, np.ndarray]:
    """An array's dtype and its bits, in a dtype that NumPy writes without a pickle.

    >>> encode(jnp.ones(2, jnp.bfloat16))
    ('bfloat16', array([16256, 16256], dtype=uint16))
    """
    if is_key(leaf):
        return f"key:{jax.random.key_impl(leaf)}", np.asarray(jax.random.key_data(leaf))
    array = np.asarray(leaf)
    if array.dtype.kind == "O" or array.dtype.names:
        raise TypeError(f"encode: expected dicts, lists and tuples of arrays, found {type(leaf).__name__}.")
    # bfloat16, float8, int4 and the like are not NumPy's own
    bits = array.view(f"u{array.dtype.itemsize}") if array.dtype.isbuiltin == 2 else array
    return array.dtype.name, bits


def decode(bits: np.ndarray, dtype: str) -> Any:
    """The array that `encode` was given.

    >>> decode(*reversed(encode(jax.random.key(3)))) == jax.random.key(3)
    Array(True, dtype=bool)
    """
    if dtype.startswith("key:"):
        return jax.random.wrap_key_data(jnp.asarray(bits), impl=dtype.removeprefix("key:"))
    return bits if bits.dtype.name == dtype else bits.view(jnp.dtype(dtype))
