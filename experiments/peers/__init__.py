"""Peers: the experiments' networks in their original frameworks, on the same arrays; the benchmarks alone import one.

`experiments.datasets` gives the arrays and `jnn.data.Batches` the order, so that only the framework differs:
its initial values, its noise, its optimizer.
"""
