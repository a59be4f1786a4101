"""Kernels: what a backend runs instead of a layer's plain formulation, chosen in one table (`jnn.backend`).

What lives here computes what a layer says, for arguments that the layer has checked: fused attention of TPUs and GPUs,
recurrences whose derivatives are written out for CPUs, products by group for experts. What does not: layers.
"""

from jnn.layers.kernels._grouped import blocks, group_of, ragged, sort_by_group

__all__ = ["blocks", "group_of", "ragged", "sort_by_group"]
