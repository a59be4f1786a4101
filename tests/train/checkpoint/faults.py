"""What can happen to checkpoints, for the tests beside this; as a program, a process to which it happens.

python -m tests.train.checkpoint.faults save-on FOLDER       saves ever larger steps until it is killed
python -m tests.train.checkpoint.faults fail FOLDER          saves 10, then 20 with files of at most 1 MB, then 30
python -m tests.train.checkpoint.faults read-only FOLDER     restores, then saves, without the right to write
python -m tests.train.checkpoint.faults hold FOLDER          opens the folder, forks a child that stays, and waits
python -m tests.train.checkpoint.faults large FOLDER KIND    saves 300 MB, as one array, `many`, or sharded
python -m tests.train.checkpoint.faults measure FOLDER KIND  restores them; prints the peak of memory over their size
"""

import ctypes
import os
import resource
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec, SingleDeviceSharding

from jnn.train import create_state
from jnn.train.checkpoint import Checkpoints, digest

SIDE = 1024  # 4 MB an array: a save takes long enough to be killed in


def state(step, side=16):
    """The state of a made-up run, every number of which depends on the step."""
    noise = np.random.default_rng(step).normal(size=(side, side)).astype(np.float32)
    made = create_state({"a": {"w": jnp.asarray(noise)}, "b": jnp.full(3, step, jnp.bfloat16)}, optax.adam(0.1))
    return made.replace(step=jnp.int32(step))


def records(step):
    return {"history": [{"step": i, "train/loss": 1 / (1 + i)} for i in range(0, step + 1, 10)], "seed": 7}


def filled(folder, steps=(10, 20), **options):
    """A folder with a checkpoint for each step."""
    with Checkpoints(folder, keep=len(steps), **options) as checkpoints:
        for step in steps:
            checkpoints.save(state(step), records(step))
    return Path(folder)


def restored(folder, lines=None, side=16):
    """What a new process would find."""
    with Checkpoints(folder) as checkpoints:
        return checkpoints.restore(state(0, side), report=(lines if lines is not None else []).append)


def is_step(saved, step, side=16):
    """Whether this is what was saved at a step, to the last bit."""
    return digest(saved.state) == digest(state(step, side)) and saved.records == records(step)


def save_on(folder):
    with Checkpoints(folder) as checkpoints:
        found = checkpoints.restore(state(0, SIDE))
        step = int(found.state.step) if found else 0
        while True:
            step += 10
            checkpoints.save(state(step, SIDE), records(step))
            print(step, flush=True)


def fail(folder):
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(state(10, SIDE), records(10))
        checkpoints.wait()
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, hard))
        try:
            checkpoints.save(state(20, SIDE), records(20))
            checkpoints.wait()
        except OSError as error:
            print("OSError", error.errno, error)
        print("after the failure:", checkpoints.restore(state(0, SIDE)).records["history"][-1]["step"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        checkpoints.save(state(30, SIDE), records(30))


def read_only(folder):
    _obey_permissions()
    with Checkpoints(folder) as checkpoints:
        print("restored", int(checkpoints.restore(state(0)).state.step))
        try:
            checkpoints.save(state(30), records(30))
        except OSError as error:
            print("OSError", error.errno, error)


def hold(folder):
    with Checkpoints(folder):
        child = os.fork()
        if child:
            print(os.getpid(), child, flush=True)
        time.sleep(600)


LARGE = {  # shapes, and how many ways which axis is sharded
    "one": ([(76800, 1024)], None),
    "prime": ([(50261, 1536)], None),
    "many": ([(768, 1024)] * 100, None),
    "rows": ([(76800, 1024)], ("x", None)),
    "columns": ([(76800, 1024)], (None, "x")),
}


def wanted(kind):
    """The state that is measured, in the abstract."""
    shapes, spec = LARGE[kind]
    mesh = jax.make_mesh((jax.device_count(),), ("x",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, PartitionSpec(*spec)) if spec else SingleDeviceSharding(jax.devices()[0])
    params = {str(i): jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding) for i, shape in enumerate(shapes)}
    return state(0).replace(params=params, opt_state=())


def large(folder, kind):
    rng = np.random.default_rng(0)
    fill = lambda x: jax.device_put(rng.standard_normal(x.shape, np.float32), x.sharding)
    like = wanted(kind)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(like.replace(params=jax.tree.map(fill, like.params)), {})


def measure(folder, kind):
    """The growth of the peak, from a process that has restored something small."""
    like = wanted(kind)
    restored(filled(Path(folder) / "small", [10]))
    # not ru_maxrss, which begins with what the process that started this one held
    peak = lambda: 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    before = peak()
    with Checkpoints(folder) as checkpoints:
        saved = checkpoints.restore(like)
        print((peak() - before) / sum(x.nbytes for x in jax.tree.leaves(saved.state)))


def _obey_permissions():
    """Root may write anywhere: this process gives that up (capset, without CAP_DAC_OVERRIDE)."""
    if os.geteuid() == 0:
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        if ctypes.CDLL(None, use_errno=True).capset(header, nothing):
            raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    jax.config.update("jax_platforms", "cpu")
    what = {"save-on": save_on, "fail": fail, "read-only": read_only, "hold": hold, "large": large, "measure": measure}
    what[sys.argv[1]](*sys.argv[2:])
