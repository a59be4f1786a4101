"""Speed side by side: the same networks in jnn, plain JAX, Flax, Haiku, Equinox, Keras and torch.

`python -m experiments.benchmarks` runs each in fresh processes, interleaved, and prints one table.
`frameworks` has a file or a folder for each, whose workloads are written as its own users would write them; `problems`
what all of them solve, `results` what was measured on which processor.
What does not live here: anything that the library needs, and any assertion about time.
"""
