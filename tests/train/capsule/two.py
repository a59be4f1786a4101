"""A run of `tiny` with a NaN in its batches, alone or as one process of a job, for `test_processes`.

python -m jnn.launch -n 2 --devices 1 -- python -m tests.train.capsule.two FOLDER

It leaves a capsule in FOLDER/capsules, and what each process was told in FOLDER/told-0 and FOLDER/told-1.
"""

import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.data import Batches
from jnn.launch._initialize import initialize
from jnn.train import Checkpoints, Recovery, fit
from jnn.train.capsule import write_capsule
from tests.train import tiny

BAD = 12  # the step with the NaN, in row 5: on the last of two, four or eight devices


def whole_batch(step):
    """The batch of a step, as every process knows it."""
    batch = Batches(tiny.arrays(), 8, seed=3)[step]
    if step == BAD:
        batch["x"][5, 2] = np.nan
    return batch


class Spread:
    """The batches, row by row over all devices of all processes."""

    def __init__(self, mesh):
        self.rows = NamedSharding(mesh, PartitionSpec("x"))

    def __getitem__(self, step):
        put = lambda x: jax.make_array_from_callback(x.shape, self.rows, lambda index: x[index])
        return {name: put(array) for name, array in whole_batch(step).items()}


def on_all(mesh, tree):
    everywhere = NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x), everywhere), tree)


def told(act):
    """What an act that has to fail says."""
    try:
        act()
    except (FloatingPointError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


def main(folder):
    initialize()
    folder, mesh = Path(folder), jax.make_mesh((jax.device_count(),), ("x",), axis_types=(AxisType.Auto,))
    state = on_all(mesh, tiny.state())
    with Checkpoints(folder / "run") as checkpoints:
        settings = {
            "steps": 20,
            "every": 10,
            "checkpoints": checkpoints,
            "recovery": Recovery(capsules=folder / "capsules"),
        }
        said = told(lambda: fit(tiny.step(), state, Spread(mesh), **settings))
    (folder / "file").touch(exist_ok=True)
    no_folder = {"step": 0, "batch": {}, "state": {}, "message": ""}
    said += "\n" + told(lambda: write_capsule(folder / "file", **no_folder))
    (folder / f"told-{jax.process_index()}").write_text(said)


if __name__ == "__main__":
    main(sys.argv[1])
