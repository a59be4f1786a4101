"""Whether two checkpoints, or two trees, differ, and where.

digest(tree) -> str                   what an experiment prints, and what "bit-equal" means
diff(a, b) -> [Difference, ...]       path by path; nothing for what is bit-equal
table(differences) -> str             for people; `python -m jnn.train.checkpoint A B` prints it
"""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import checks
from jnn.param import flatten, is_key
from jnn.train.checkpoint._manifest import by_path


@dataclasses.dataclass(frozen=True)
class Difference:
    """One path at which two trees differ.

    path: of the leaf.
    a, b: dtype and shape on both sides, such as "float32[3,2]"; None where there is no such path.
    norm: of b - a, where both have numbers of one shape.
    relative: the norm over a's own; infinite where that is 0.
    """

    path: str
    a: str | None
    b: str | None
    norm: float | None = None
    relative: float | None = None


def diff(a: Any, b: Any) -> list[Difference]:
    """Differences of two trees of arrays, by path.

    Args:
      a, b: trees, or what `read(folder).state` gives.

    Returns:
      One `Difference` for each path that is in one tree only, or has another shape, dtype or value, sorted. Norms are
      computed in float64. NaN in the same place with the same bits is no difference.

    >>> for d in diff({"w": jnp.ones(4), "b": jnp.ones(2)}, {"w": jnp.full(4, 1.5)}):
    ...     print(d)
    Difference(path='b', a='float32[2]', b=None, norm=None, relative=None)
    Difference(path='w', a='float32[4]', b='float32[4]', norm=1.0, relative=0.5)
    """
    left, right = by_path("diff", a), by_path("diff", b)
    pairs = {path: (left.get(path), right.get(path)) for path in sorted(left.keys() | right.keys())}
    return [_difference(path, x, y) for path, (x, y) in pairs.items() if not _equal(x, y)]


def digest(tree: Any) -> str:
    """Digest: a SHA-256 over the paths, dtypes, shapes and bytes of a tree of arrays: equal iff bit-equal.

    >>> digest({"w": np.ones(2, np.float32)}) == digest({"w": np.ones(2, np.float32)})
    True
    """
    sha = hashlib.sha256()
    for path, leaf in sorted(flatten(tree).items()):
        x = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        sha.update(f"{path} {x.dtype} {x.shape}\n".encode(errors="surrogatepass"))
        sha.update(_host(x).tobytes())
    return sha.hexdigest()


def table(differences: list[Difference]) -> str:
    """A table of differences.

    >>> print(table(diff({"w": jnp.ones(4)}, {"w": jnp.full(4, 1.5)})))
    path  a           b           norm of b - a  relative
    w     float32[4]  float32[4]              1       0.5
    """
    number = lambda x: "" if x is None else f"{x:.4g}"
    rows = [["path", "a", "b", "norm of b - a", "relative"]]
    rows += [[d.path, d.a or "-", d.b or "-", number(d.norm), number(d.relative)] for d in differences]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    line = "  ".join(f"{{:{'<' if i < 3 else '>'}{width}}}" for i, width in enumerate(widths))
    return "\n".join(line.format(*row).rstrip() for row in rows)


def _equal(x: Any, y: Any) -> bool:
    if x is None or y is None or x.shape != y.shape or x.dtype != y.dtype:
        return False
    return _host(x).tobytes() == _host(y).tobytes()


def _difference(path: str, x: Any, y: Any) -> Difference:
    names = [None if z is None else checks.describe(z) for z in (x, y)]
    if x is None or y is None or x.shape != y.shape or any(is_key(z) for z in (x, y)):
        return Difference(path, names[0], names[1])
    wide = np.complex128 if any(jnp.issubdtype(z.dtype, jnp.complexfloating) for z in (x, y)) else np.float64
    old, new = (_host(z).astype(wide) for z in (x, y))
    norm, own = float(np.linalg.norm((new - old).ravel())), float(np.linalg.norm(old.ravel()))
    return Difference(path, names[0], names[1], norm, norm / own if own else norm and float("inf"))


def _host(x: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(x) if is_key(x) else x)
