"""Data: where it lies, how it is read, how it is cut into batches.

What lives here turns files into NumPy arrays (`mnist`, `cifar10`, `imdb`, ...), arrays into batches
`{"x": ..., "y": ..., "weight": ...}` that are a pure function of (seed, step), and images into
augmented images on the device as a pure function of a key. What does not: anything that knows a
model or a training loop.
"""

from jnn.data.augment import random_crop, random_flip
from jnn.data.batches import Batches, check_arrays, in_order
from jnn.data.cifar import cifar10, read_cifar
from jnn.data.embedded import breast_cancer, diabetes, digits
from jnn.data.idx import mnist, read_idx
from jnn.data.prefetch import prefetch
from jnn.data.root import data_root, find
from jnn.data.split import Standard, fit_standard, split
from jnn.data.synthetic import noisy_sum, sum_above_half
from jnn.data.text import imdb, read_reviews, tinyshakespeare
from jnn.data.vocabulary import PAD, UNKNOWN, Characters, Words, pad, words
from jnn.data.windows import Windows, windows_in_order

__all__ = [
    "PAD",
    "UNKNOWN",
    "Batches",
    "Characters",
    "Standard",
    "Windows",
    "Words",
    "breast_cancer",
    "check_arrays",
    "cifar10",
    "data_root",
    "diabetes",
    "digits",
    "find",
    "fit_standard",
    "imdb",
    "in_order",
    "mnist",
    "noisy_sum",
    "pad",
    "prefetch",
    "random_crop",
    "random_flip",
    "read_cifar",
    "read_idx",
    "read_reviews",
    "split",
    "sum_above_half",
    "tinyshakespeare",
    "windows_in_order",
    "words",
]
