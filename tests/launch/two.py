"""One of two processes with four devices each, over loopback.

python -m tests.launch.two RANK PORT
"""

import sys

import jax
import optax

import jnn
from jnn.parallel import layout, pmap_step, sharded_eval, sharded_state, sharded_step
from jnn.train import create_state
from tests.parallel.models import MLP

OPTIMIZER = optax.sgd(0.1, momentum=0.9)


def losses(mine):
    """Of three steps on a mesh, of an evaluation, and of three steps by pmap; `mine(batch)` are this process's rows."""
    initial, noise = jax.random.key(0), jax.random.key(1)
    place = layout(MLP.spec, "data=2,fsdp=4")
    state, found = sharded_state(OPTIMIZER, initial, place), []
    step, evaluate = sharded_step(MLP.loss, OPTIMIZER, noise, place), sharded_eval(MLP.loss, place)
    copy, pmapped = create_state(jnn.init(MLP.spec, initial), OPTIMIZER), pmap_step(MLP.loss, OPTIMIZER, noise)
    for i in range(3):
        batch = mine(MLP.batch(seed=i))
        state, one = step(state, batch)
        copy, two = pmapped(copy, batch)
        found += [float(metrics["loss"].value()) for metrics in (one, two, evaluate(state, batch))]
    return found


if __name__ == "__main__":
    rank, port = map(int, sys.argv[1:])
    jax.config.update("jax_num_cpu_devices", 4)
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, rank)
    print(*losses(lambda batch: jax.tree.map(lambda x: x[8 * rank : 8 * rank + 8], batch)))
