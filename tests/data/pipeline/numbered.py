"""Batches that tell their step."""

import os

import numpy as np


class Numbered:
    """Batches that tell which process made them."""

    def __getitem__(self, step):
        return {"x": np.full((3,), step), "process": np.int32(os.getpid())}


def read(batches, steps):
    return [int(batches[step]["x"].flat[0]) for step in steps]
