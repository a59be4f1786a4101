"""Adapters behind the branches of a transformer's blocks, and prefixes before its sequences: declared for a model.

adapters_spec(spec, width) -> spec
prefixes_spec(spec, n) -> spec
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jax.typing import DTypeLike

from jnn import checks
from jnn.layers import adapter_spec, prefix_spec
from jnn.param import Param, Spec, Where, flatten, matching, nested, stack


def adapters_spec(spec: Spec, width: int, *, where: Where = "*", dtype: DTypeLike | None = None) -> Spec:
    """Adapters, declared: a bottleneck behind each branch of each transformer block.

    See "Parameter-Efficient Transfer Learning for NLP", Houlsby et al., 2019. They begin as the identity.

    Args:
      spec: the model's.
      width: of the bottlenecks.
      where: patterns of the blocks' paths; "" is a block's that is all of the spec.
      dtype: of all; that of the block by default.

    Returns:
      At each block {"adapter1": as `adapter_spec`, "adapter2"}, and "adapter_cross" where it has cross-attention,
      stacked as it is. Put them beside by `with_parts`.

    Raises:
      ValueError: no block fits.

    >>> from jnn.models import transformer_block_spec
    >>> sorted(adapters_spec({"blocks": transformer_block_spec(8, 2, 16)}, 4)["blocks"])
    ['adapter1', 'adapter2']
    """
    checks.count("adapters_spec", "width", width)
    is_block = lambda node, out: "norm1" in node  # a pooling by attention has none
    ends = _nodes("adapters_spec", spec, where, "attention/o/w", is_block, "transformer block")
    leaves: dict[str, Any] = {}
    for path, (block, out) in ends.items():
        own = adapter_spec(out.shape[-1], width, dtype=out.dtype if dtype is None else dtype)
        names = ("adapter1", *(("adapter_cross",) if "cross" in block else ()), "adapter2")
        leaves |= {f"{path}/{name}".lstrip("/"): _stacked(own, out) for name in names}
    return nested(leaves)


def prefixes_spec(spec: Spec, n: int, *, where: Where = "*", dtype: DTypeLike | None = None) -> Spec:
    """Prefix tuning, declared: n learned keys and values before those of each attention.

    See "Prefix-Tuning: Optimizing Continuous Prompts for Generation", Li and Liang, 2021.

    Args:
      spec: the model's.
      n: how many.
      where: patterns of the attentions' paths, such as "*/attention"; "" is one's that is all of the spec.
      dtype: of all; that of the attention by default.

    Returns:
      At each attention {"prefix": as `prefix_spec`}, stacked as it is. Put them beside by `with_parts`.

    Raises:
      ValueError: no attention fits.

    >>> from jnn.layers import attention_spec
    >>> prefixes_spec({"attention": attention_spec(8, 2)}, 5)["attention"]["prefix"]["k"].shape
    (5, 2, 4)
    """
    checks.count("prefixes_spec", "n", n)
    plain = lambda node, key: "o" in node and key.axes[-2:] == ("kv_heads", "head")  # no latent one, no state space
    ends = _nodes("prefixes_spec", spec, where, "k/w", plain, "attention")
    leaves = {
        f"{path}/prefix".lstrip("/"): _stacked(
            prefix_spec(n, *key.shape[-2:], dtype=key.dtype if dtype is None else dtype), key
        )
        for path, (_, key) in ends.items()
    }
    return nested(leaves)


def _nodes(
    name: str, spec: Spec, where: Where, end: str, fits: Callable[[Mapping[str, Any], Param], bool], what: str
) -> dict[str, tuple[Mapping[str, Any], Param]]:
    """By path what has this weight in it and fits, with the weight."""
    above = lambda path: path.removesuffix(end).rstrip("/")
    weights = {above(path): param for path, param in flatten(spec).items() if f"/{path}".endswith(f"/{end}")}
    nodes = {path: node for path, param in weights.items() if fits(node := _at(spec, path), param)}
    return {path: (node, weights[path]) for path, node in matching(name, nodes, where, what).items()}


def _at(tree: Any, path: str) -> Any:
    for name in filter(None, path.split("/")):
        tree = tree[int(name) if isinstance(tree, list | tuple) else name]
    return tree


def _stacked(spec: Spec, like: Param) -> Spec:
    """The spec, stacked as a parameter is."""
    for size, axis in reversed([*zip(like.shape[: like.stacked], like.axes, strict=False)]):
        spec = stack(spec, size, axis)
    return spec
