"""`check`: all laws, or some, of a block of one's own, from a test in one line."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import jax

from jnn.laws._block import Block, Inputs, examples_like, name_of
from jnn.laws._declared import draws_hang_on_their_paths, every_parameter_is_read, spec_is_params
from jnn.laws._dtypes import dtype_in_is_dtype_out, float64_stays_float64, gradients_are_finite, long_sums_are_wide
from jnn.laws._sequences import parts_are_the_whole, the_past_sees_no_future
from jnn.laws._values import batch_is_vmap, compiled_is_eager_and_sharded_is_single, noise_is_an_argument
from jnn.param import Spec, abstract

LAWS: dict[str, Callable[[Block], None]] = {
    "spec = params": spec_is_params,
    "every parameter is read": every_parameter_is_read,
    "a draw hangs on its path": draws_hang_on_their_paths,
    "noise is an argument": noise_is_an_argument,
    "batch = vmap": batch_is_vmap,
    "jit = eager, sharded = single": compiled_is_eager_and_sharded_is_single,
    "dtype in = dtype out": dtype_in_is_dtype_out,
    "float64 stays float64": float64_stays_float64,
    "long sums are wide": long_sums_are_wide,
    "gradients are finite": gradients_are_finite,
    "causality": the_past_sees_no_future,
    "prefill = step by step": parts_are_the_whole,
}


APPLIES: dict[str, tuple[Callable[[Block], bool], str]] = {  # to which blocks a law applies, and what makes it apply
    "batch = vmap": (lambda block: block.per_example, "per_example=True"),
    "long sums are wide": (lambda block: bool(block.spec), "a spec that declares parameters"),
    "causality": (lambda block: block.causal, "causal=True"),
    "prefill = step by step": (lambda block: block.chunk is not None, "chunk=..."),
}

FOLLOWS = {"long sums are wide": "batch = vmap"}  # laws that cannot hold where another does not, which is said alone


def laws_of(block: Block) -> list[str]:
    """Names of the laws that apply to a block."""
    return [law for law in LAWS if law not in APPLIES or APPLIES[law][0](block)]


def check(
    function: Callable[..., Any],
    spec: Spec,
    example: Any,
    *,
    laws: Sequence[str] | None = None,
    per_example: bool = True,
    causal: bool = False,
    chunk: Callable[..., Any] | None = None,
    begin: Callable[..., Any] | None = None,
) -> None:
    """Property tests of a layer: jit = eager, batch = vmap, sharded = single, dtypes, finite gradients, and more.

    They use all devices there are: with `XLA_FLAGS=--xla_force_host_platform_device_count=8` a laptop has eight. All
    laws take some seconds, most of them to compile.

    Args:
      function: `(params, *inputs) -> outputs`, any tree of arrays; one that takes a keyword `key` makes noise of it,
        and none of `key=None`.
      spec: what declares its parameters; {} if it has none. The laws are asked of float32 parameters and inputs.
      example: the inputs of ONE example, without batch axes: an array, or a tuple of them. More are drawn like it:
        floating ones are normal, integers lie between 0 and its greatest. Or `rng -> inputs`, which draws one.
      laws: names of `LAWS`; by default all that apply.
      per_example: False where examples of a batch see each other.
      causal: whether an output at a time, the first axis of an example, sees inputs up to that time alone.
      chunk: `(params, *inputs, memory) -> (outputs, memory)`, the function of a part of a sequence; where the function
        returns a tuple and this one array, it is the first.
      begin: `(params, length, leading) -> memory`, that of sequences with these leading axes that have not begun; None
        by default. Of cached attention: `lambda p, length, leading: attention_cache(p, length, leading=leading)`.

    Raises:
      AssertionError: names every law that does not hold, the smallest batch for which it does not, and where; not those
        that another's failure explains.
      TypeError: the example is none.
      ValueError: there is no such law, or it needs an argument that was not given.
      and whatever the function raises of a batch of two examples.

    >>> import jax.numpy as jnp
    >>> from jnn.layers import attention, attention_spec
    >>> check(attention, attention_spec(8, 2), jnp.ones((5, 8)), laws=["batch = vmap", "gradients are finite"])
    """
    noisy = "key" in inspect.signature(function).parameters

    def silent(params: Any, *inputs: Any, key: Any) -> Any:
        return function(params, *inputs)

    draw = _tuples(example) if callable(example) else examples_like(example)
    apply = function if noisy else silent
    block = Block(name_of(function), spec, apply, draw, per_example, noisy, causal, chunk, begin or Block.begin)
    chosen = _chosen(block, laws)
    jax.eval_shape(lambda p, *x: apply(p, *x, key=None), abstract(spec), *block.inputs(2))  # or all laws would say it
    broken = {law: how for law in chosen if (how := broken_by(block, LAWS[law])) is not None}
    if broken:
        causes = [f'  "{law}" of {how}' for law, how in broken.items() if FOLLOWS.get(law) not in broken]
        raise AssertionError(f"{block.name}: these laws do not hold.\n" + "\n".join(causes))


def _chosen(block: Block, laws: Sequence[str] | None) -> Sequence[str]:
    """The names of laws to be asked.

    Raises:
      ValueError: one is unknown, or does not apply to the block.
    """
    if laws is None:
        return laws_of(block)
    if unknown := {laws} if isinstance(laws, str) else set(laws) - LAWS.keys():
        raise ValueError(f"check: expected a list of laws out of {list(LAWS)}, found {sorted(unknown)}.")
    for law in laws:
        if law not in laws_of(block):
            raise ValueError(f"check: {law!r} needs {APPLIES[law][1]}.")
    return laws


def _tuples(example: Callable[[Any], Any]) -> Callable[[Any], Inputs]:
    """A draw of one array is one of one input."""

    def draw(rng: Any) -> Inputs:
        found = example(rng)
        return found if isinstance(found, tuple) else (found,)

    return draw


def broken_by(block: Block, law: Callable[[Block], None]) -> str | None:
    """How a law is broken, by the smallest batch that breaks it; None if it holds."""
    whole = _how(block, law)
    if whole is None:
        return None
    smaller = (dataclasses.replace(block, most=most) for most in (1, 2))
    found = next((how for one in smaller if (how := _how(one, law)) is not None and how[1]), whole)
    return found[0]


def _how(block: Block, law: Callable[[Block], None]) -> tuple[str, bool] | None:
    """The refusal of a law, and whether it is one of its own; another exception is the block's."""
    try:
        law(block)
    except AssertionError as error:
        return f"{block.shapes()}: {error}", True
    except Exception as error:  # whatever the block raises, it breaks the law by it
        line = str(error).splitlines()[0] if str(error) else ""
        return f"{block.shapes()}: {type(error).__name__}: {line}", False
    return None
