"""A jitted function with the compiler options of its backend.

    Program(f, "step") -> jitted f                  within another program, a part of that one
    compiled(lower) -> jax.stages.Compiled          ahead of time, without the options that a compiler does not know

Law: the options change how fast a program runs, or compiles; what it computes only in the order of sums. One that a
compiler does not know, or that the user has set, is left out.
"""

from __future__ import annotations

import functools
import os
import re
import types
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax

from jnn import backend

# Compiler options of a kind of program, on a CPU. "step": without YNNPACK's convolutions a training step of the
# CIFAR-10 network took 38 ms, and 65 with them (JAX 0.10.2); decoders and recurrences are indifferent. "init": every
# draw is its own piece of code that runs once; a 4-layer decoder's compiled in 2.0 s instead of 5.0, to the same bits.
# "lanes": see `jnn.parallel._lanes`, which says why.
_NO_CONVOLUTIONS = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
COMPILER_OPTIONS: dict[str, dict[str, Any]] = {
    "step": {"xla_cpu_experimental_ynn_fusion_type": _NO_CONVOLUTIONS},
    "init": {"xla_backend_optimization_level": 1},
    "lanes": {
        "xla_cpu_experimental_ynn_fusion_type": _NO_CONVOLUTIONS,
        "xla_disable_hlo_passes": "algsimp",
        "xla_backend_optimization_level": 0,
    },
}

# Compiler options of steps, by chip; what each does is in docs/preflight.md, "What a TPU's compiler is told". Gathers
# go on in parts within the fusions of products; sums between devices by the sparse cores, or, where a chip has none, as
# gathers do.
_FUSED_GATHERS = {
    "xla_tpu_enable_async_collective_fusion": True,
    "xla_tpu_enable_async_collective_fusion_fuse_all_gather": True,
    "xla_tpu_enable_async_collective_fusion_multiple_steps": True,
    "xla_tpu_overlap_compute_collective_tc": True,
    "xla_enable_async_all_gather": True,
}
_FUSED_SUMS = {
    "xla_tpu_enable_async_collective_fusion_fuse_all_reduce": True,
    "xla_tpu_enable_async_collective_fusion_fuse_reduce_scatter": True,
    "xla_enable_async_all_reduce": True,
    "xla_enable_async_reduce_scatter_fusion": True,
}
_SPARSE_SUMS = {
    "xla_tpu_enable_sparse_core_collective_offload_reduce_scatter": True,
    "xla_tpu_enable_sparse_core_collective_offload_all_reduce": True,
}
TPU_OPTIONS: dict[str, dict[str, Any]] = {
    "v5e": _FUSED_GATHERS | _FUSED_SUMS,
    "v5p": _FUSED_GATHERS | _SPARSE_SUMS,
    "v6e": _FUSED_GATHERS | _SPARSE_SUMS,
}

_refused = types.SimpleNamespace(options=frozenset())  # those that a compiler of this process does not know
_REFUSAL = re.compile(r"No such compile option: '(\w+)'|(?:into flag|setting option) (\w+)")


class Program:
    """`jax.jit(f)` with the compiler options of the backend; within another program, a part of that one.

    `part` is what it is there: `jax.jit(f)`, of all arguments.

    Args:
      f: the function.
      kind: of `COMPILER_OPTIONS`.
      donate_argnums, out_shardings: as `jax.jit` takes them.
      given: one more argument, the same at every call: what is large, and so no constant of the program. None is none.

    >>> double = Program(lambda x: 2 * x, "step")
    >>> double(3).item(), jax.jit(double)(3).item()
    (6, 6)
    """

    def __init__(
        self,
        f: Callable[..., Any],
        kind: str,
        *,
        donate_argnums: tuple[int, ...] = (),
        out_shardings: Any = None,
        given: Any = None,
    ) -> None:
        self._more = () if given is None else (given,)
        self.part = jax.jit(f, out_shardings=out_shardings)  # its buffers are the whole's to donate
        whole = functools.partial(jax.jit, f, donate_argnums=donate_argnums, out_shardings=out_shardings)
        # asked for at the first call: jax.distributed.initialize must come before the first question for a backend
        self._whole = functools.cache(lambda machine, _: whole(compiler_options=options_of(kind, machine)))

    def __call__(self, *args: Any) -> Any:
        try:
            return self._whole(backend.machine(), _refused.options)(*args, *self._more)
        except (RuntimeError, ValueError) as error:
            if "deleted" in str(error):
                raise RuntimeError(
                    "An argument's buffers are gone: a step donates its state, so a state is used once. Go on with the "
                    "one that the step returned, or keep a copy: jax.tree.map(jnp.copy, state)."
                ) from error
            if "donate the same buffer twice" in str(error):
                raise ValueError(
                    "An array stands in two places of the state, and a step donates every buffer of it once. Two "
                    "networks that begin alike need copies: jax.tree.map(jnp.copy, params)."
                ) from error
            if forget_unknown(error):
                return self(*args)
            # JAX refuses options within a program, whatever the arguments; to ask first would cost every call some
            # microseconds, and there is no public question
            if "compiler_options" not in str(error):
                raise
        return self.part(*args, *self._more)

    def trace(self, *args: Any) -> jax.stages.Traced:
        """As a jitted function's: its jaxpr, before anything is lowered."""
        return self._whole(backend.machine(), _refused.options).trace(*args, *self._more)

    def lower(self, *args: Any) -> jax.stages.Lowered:
        """As a jitted function's: to look at what is compiled, or to compile it for somewhere else."""
        return self._whole(backend.machine(), _refused.options).lower(*args, *self._more)


def options_of(kind: str, machine: str, environ: Mapping[str, str] = os.environ) -> dict[str, Any] | None:
    """The compiler options of a kind of program on a machine, as `jnn.backend.machine` names it; None for none.

    >>> options_of("step", "gpu"), options_of("init", "tpu:v5p")
    (None, None)
    """
    platform, _, chip = machine.partition(":")
    rows = {"cpu": COMPILER_OPTIONS[kind], "tpu": TPU_OPTIONS.get(chip, {}) if kind == "step" else {}}
    left_out = _refused.options.union(re.findall(r"--(\w+)", environ.get("LIBTPU_INIT_ARGS", "")))
    return {name: value for name, value in rows.get(platform, {}).items() if name not in left_out} or None


def compiled(lower: Callable[[], jax.stages.Lowered], options: Mapping[str, Any] | None = None) -> jax.stages.Compiled:
    """What is lowered, compiled ahead of time with more options, those left out that its compiler does not know."""
    known = {name: value for name, value in (options or {}).items() if name not in _refused.options}
    lowered = lower()
    try:
        return lowered.compile(known or None)
    except jax.errors.JaxRuntimeError as error:
        if not forget_unknown(error):
            raise
    return compiled(lower, options)


def forget_unknown(error: Exception) -> bool:
    """Whether an error is a compiler's that does not know an option; the option is then left out from here on."""
    found = _REFUSAL.search(str(error))
    name = found and (found[1] or found[2])
    if not name or name in _refused.options:
        return False
    _refused.options |= {name}
    warnings.warn(f"This compiler does not know {name}, which is left out: steps may be slower.", stacklevel=3)
    return True
