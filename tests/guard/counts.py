"""What the guard counts: nothing here depends on how fast, or how busy, a machine is.

    python -m tests.guard.counts                        all counts, as JSON

| count          | of what                                                                                          |
|----------------|--------------------------------------------------------------------------------------------------|
| `modules`      | that `import jnn` brings in beside `import jax`                                                  |
| `packages`     | whose modules are imported until the end of the MLP's first step, beside JAX's                   |
| `equations`    | of the step's jaxpr, those of its loops and calls counted once each                              |
| `flops`        | of its HLO, before any processor's compiler has seen it; a loop's body is counted once           |
| `bytes`        | that each operation of that HLO reads and writes                                                 |
| `compilations` | of three calls of the step; of "start" from `import jnn` to the end of the MLP's first step      |
| `calls`        | of functions, Python's and C's, that Python makes in one call of a step that is compiled already |

One fresh process counts all of it: what other tests have imported, compiled or traced is not there.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import Jaxpr

BEFORE = frozenset(sys.modules)
COMPILED: list[str] = []
UNCOMPILED = ("decoder of 2 layers", "decoder of 48 layers")  # their steps are lowered, which says enough


def count() -> dict[str, dict[str, int]]:
    """All counts, by program."""
    import jnn  # noqa: F401

    modules = len(sys.modules.keys() - BEFORE)
    jax.monitoring.register_event_duration_secs_listener(lambda event, _, **more: COMPILED.append(event))
    from tests.guard.programs import PROGRAMS

    found: dict[str, dict[str, int]] = {"start": {"modules": modules}}
    step, draw, batch = PROGRAMS["mlp"]()
    step(draw(), batch)
    found["start"]["compilations"] = compilations()
    found["start"]["packages"] = len({name.partition(".")[0] for name in sys.modules.keys() - BEFORE})
    for name, make in PROGRAMS.items():
        step, draw, batch = make()
        shapes = jax.eval_shape(draw)
        found[name] = of_text(step, shapes, batch)
        if name not in UNCOMPILED:
            state = jax.tree.map(lambda x: jax.device_put(np.zeros(x.shape, x.dtype)), shapes)
            found[name] |= of_calls(step, state, batch)
    return found


def of_text(step: Any, state: Any, batch: Any) -> dict[str, int]:
    """Counts of what is traced, and lowered."""
    traced = step.trace(state, batch)
    cost = traced.lower().cost_analysis()
    return {
        "equations": sum(1 for _ in equations(traced.jaxpr.jaxpr)),
        "flops": int(cost["flops"]),
        "bytes": int(cost["bytes accessed"]),
    }


def equations(jaxpr: Jaxpr) -> Iterator[Any]:
    """Of a jaxpr, and of those within it."""
    for equation in jaxpr.eqns:
        yield equation
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: hasattr(x, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if isinstance(inner, Jaxpr):
                yield from equations(inner)


def of_calls(step: Any, state: Any, batch: Any) -> dict[str, int]:
    """Counts of three calls of a step, and of the last of them."""
    before = compilations()
    for _ in range(2):
        state, _ = step(state, batch)
    calls = python_calls(lambda: step(state, batch))
    return {"compilations": compilations() - before, "calls": calls}


def compilations() -> int:
    """How many programs were compiled so far."""
    return COMPILED.count("/jax/core/compile/backend_compile_duration")


def python_calls(f: Callable[[], object]) -> int:
    """How many functions Python enters, or asks of C, while f runs; f itself is none of them."""
    entered: list[str] = []
    gc.disable()  # its callbacks come when they come
    sys.setprofile(lambda frame, event, arg: entered.append(event))
    try:
        f()
    finally:
        sys.setprofile(None)
        gc.enable()
    return sum(event in ("call", "c_call") for event in entered) - 2  # f, and the end of counting


if __name__ == "__main__":
    print(json.dumps(count(), indent=2))
