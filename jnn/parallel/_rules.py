"""Rules: from the names of logical axes to the mesh axes that they lie on. Two small tables, and a user's changes.

    resolve(table, changes, mesh) -> {logical axis: mesh axes}
    check_names(changes, known)                 raises for a change that is without effect

Laws: a rule holds for the axes that the mesh has, so that one set of rules serves a laptop and a pod; a name that
nothing goes by is an error, never a rule without effect.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from jax.sharding import Mesh

from jnn.parallel._mesh import AXES
from jnn.param import Rules

# Between its uses a parameter is kept in pieces by the devices that share the batch ("fsdp"): along the axis that
# nearly every weight has. "hidden", "heads" and "vocab" begin and end Megatron's pairs of products.
PARAMETERS: Rules = {
    "embed": "fsdp",
    "channels_out": "fsdp",
    "hidden": "tensor",
    "heads": "tensor",
    "kv_heads": "tensor",
    "vocab": "tensor",
    "experts": "expert",
    "layers": "stage",
}

# Devices that share the experts, or the layers, share the rows too, or the rest of the model would be computed on each.
# What a model names beside these is whole on every device; what it does not name may lie anywhere.
ACTIVATIONS: Rules = {
    "batch": ("slice", "data", "fsdp", "expert", "stage"),
    "time": "context",
    "hidden": "tensor",
    "heads": "tensor",
    "kv_heads": "tensor",
    "vocab": "tensor",
    "experts": "expert",
}

Resolved = Mapping[str, tuple[str, ...]]


def resolve(table: Rules, changes: Rules | None, mesh: Mesh) -> Resolved:
    """A table with a user's changes, as it holds for a mesh.

    Args:
      table: PARAMETERS or ACTIVATIONS.
      changes: rules that replace or add to those of the table; None makes an axis whole.
      mesh: whatever its axes; rules name these, or axes that another mesh would have.

    Raises:
      ValueError: a rule names a mesh axis that there is not.

    >>> import jax
    >>> from jnn.parallel import mesh
    >>> one = mesh("data=1", jax.devices()[:1])
    >>> resolve({"batch": ("data", "fsdp"), "embed": "fsdp"}, {"embed": None}, one)
    {'batch': ('data',), 'embed': ()}
    """
    rules = {name: rule_axes(rule) for name, rule in {**table, **(changes or {})}.items()}
    there = (*mesh.axis_names, *(axis for axis in AXES if axis not in mesh.axis_names))
    for name, axes in rules.items():
        if unknown := [axis for axis in axes if axis not in there]:
            raise ValueError(f"rules: {name!r} is to lie on {unknown[0]!r}, which is no mesh axis: {', '.join(there)}.")
    return {name: tuple(axis for axis in axes if axis in mesh.axis_names) for name, axes in rules.items()}


def check_names(changes: Rules | None, known: Collection[str]) -> None:
    """Raises ValueError for a change that names a logical axis which nothing has."""
    if unknown := [name for name in changes or {} if name not in known]:
        raise ValueError(f"rules: nothing has an axis {unknown[0]!r}. There are {', '.join(sorted(known))}.")


def rule_axes(rule: Any) -> tuple[str, ...]:
    """Rule's axes: the mesh axes that a rule, or an entry of a `PartitionSpec`, names."""
    return () if rule is None else (rule,) if isinstance(rule, str) else tuple(rule)
