"""Speed side by side: the same networks in jnn, plain JAX, Flax NNX, Equinox and torch.

`python -m experiments.benchmarks` runs each in fresh processes, interleaved, and prints one table.
One file a framework holds its workloads, written as that framework's own users would write them.
What does not live here: anything that the library needs, and any assertion about time.
"""
