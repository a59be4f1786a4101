"""The problems that every framework solves: sizes, hyperparameters and one fixed batch each.

mlp     784-128-dropout 0.2-64-10, Adam, batch 32                     the MNIST perceptron
cnn     conv 3-32-64, 3x3, max pooling 2x2, dense 512, dropout 0.5    CIFAR's shape, batch 64
lstm    64 features, hidden 256, 128 steps, last state to 10 classes  batch 64
gpt     4 pre-norm blocks, 256 wide, 8 heads, context 128, AdamW      vocabulary 512, tied, batch 8
tiny    8 times linear 32-32, layer norm, ReLU; then 10 classes       batch 8
deep    gpt's block 48 times, 64 wide, 4 heads, 32 tokens             what its first step costs, batch 2

NumPy alone is imported here, so that no framework pays for another one's start.
"""

from __future__ import annotations

import dataclasses

import numpy as np

NAMES = ("mlp", "cnn", "lstm", "gpt", "tiny", "deep")
CLASSES = 10
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01  # AdamW's, on every parameter: the same work everywhere
MLP_DROPOUT, CNN_DROPOUT = 0.2, 0.5
LSTM_FEATURES, LSTM_HIDDEN = 64, 256
TINY_LAYERS, TINY_WIDTH = 8, 32


@dataclasses.dataclass(frozen=True)
class Decoder:
    """A decoder-only transformer: pre-norm, GELU, 4 times as wide inside, learned positions, tied read-out."""

    layers: int
    width: int
    heads: int
    tokens: int
    batch: int
    vocab: int = 512


DECODERS = {
    "gpt": Decoder(layers=4, width=256, heads=8, tokens=128, batch=8),
    "deep": Decoder(layers=48, width=64, heads=4, tokens=32, batch=2),
}
INPUTS = {"mlp": (32, 784), "cnn": (64, 32, 32, 3), "lstm": (64, 128, LSTM_FEATURES), "tiny": (8, TINY_WIDTH)}


def batch(workload: str) -> dict[str, np.ndarray]:
    """The workload's batch: float32 or token inputs "x", integer labels "y".

    The second half repeats the inputs of the first under labels of its own. So the loss can fall but
    never vanish, and no framework comes to multiply denormal numbers after thousands of steps.
    """
    rng = np.random.default_rng(0)
    if decoder := DECODERS.get(workload):
        shape, high = (decoder.batch, decoder.tokens), decoder.vocab
        x = rng.integers(0, high, shape, dtype=np.int32)
    else:
        shape, high = INPUTS[workload][:1], CLASSES
        x = rng.normal(size=INPUTS[workload]).astype(np.float32)
    x[len(x) // 2 :] = x[: len(x) // 2]
    return {"x": x, "y": rng.integers(0, high, shape, dtype=np.int32)}
