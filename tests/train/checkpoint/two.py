"""One process of a job that shares a folder of checkpoints, for `test_processes`.

python -m jnn.launch -n 2 --devices 1 -- python -m tests.train.checkpoint.two save OUT FOLDER
python -m jnn.launch -n 2 --devices 1 -- python -m tests.train.checkpoint.two restore OUT FOLDER ...
python -m jnn.launch -n 2 --devices 1 -- python -m tests.train.checkpoint.two refused OUT FOLDER ...

What each finds it writes as JSON to OUT/0 and OUT/1.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.launch._initialize import initialize
from jnn.train import TrainState
from jnn.train.checkpoint import Checkpoints

STEPS = (10, 20)
SPREAD = {"rows": PartitionSpec("x"), "columns": PartitionSpec(None, "x"), "everywhere": PartitionSpec()}


def values(step):
    """The numbers of a step: 2 MB an array, so that each process has chunks of its own."""
    rng = np.random.default_rng(step)
    return {name: rng.normal(size=(512, 1024)).astype(np.float32) for name in SPREAD}


def keys_of(step):
    """The words of eight keys."""
    return np.asarray(jax.random.key_data(jax.random.split(jax.random.key(step), 8)))


def state(step, mesh):
    """A state that is spread over all devices of all processes, a typed key among it."""
    put = lambda value, spec: jax.device_put(value, NamedSharding(mesh, spec))
    params = {name: put(value, SPREAD[name]) for name, value in values(step).items()}
    keys = jax.random.wrap_key_data(put(keys_of(step), PartitionSpec("x")))
    everywhere = put(np.int32(step), PartitionSpec()), put(np.float32(1), PartitionSpec())
    return TrainState(everywhere[0], params, (), {"keys": keys}, None, {}, everywhere[1])


def is_step(state, step):
    """Whether the shards that this process holds are those of a step, to the last bit."""
    wanted = values(step)
    pairs = [(state.params[name], wanted[name]) for name in SPREAD]
    pairs.append((jax.random.key_data(state.stats["keys"]), keys_of(step)))
    return all(
        np.array_equal(np.asarray(shard.data), whole[shard.index])
        for array, whole in pairs
        for shard in array.addressable_shards
    )


def mesh():
    return jax.make_mesh((jax.device_count(),), ("x",), axis_types=(AxisType.Auto,))


def restored(folder):
    """What this process finds: the step, whether it is that step's, and the lines of the report."""
    lines = []
    with Checkpoints(folder) as checkpoints:
        saved = checkpoints.restore(state(0, mesh()), report=lines.append)
    step = int(saved.state.step)
    return {"step": step, "same": is_step(saved.state, step), "records": saved.records, "lines": lines}


def refused(folder):
    """What this process is told of a folder that it cannot have."""
    try:
        Checkpoints(folder)
    except (OSError, ValueError) as error:
        return str(error)
    return "nothing"


def main(what, out, *folders):
    initialize()
    if what == "save":
        with Checkpoints(folders[0]) as checkpoints:
            for step in STEPS:
                checkpoints.save(state(step, mesh()), {"at": step})
    Path(out, str(jax.process_index())).write_text(
        json.dumps([(refused if what == "refused" else restored)(folder) for folder in folders])
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
