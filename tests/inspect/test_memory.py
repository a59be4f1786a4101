"""Bytes on each device, the largest values, and donations in vain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jnn.inspect import largest, memory, not_aliased


def mesh():
    return jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))


def test_arguments_outputs_and_aliases_are_counted_on_each_device():
    sharded = NamedSharding(mesh(), PartitionSpec("data"))
    x, w = (jax.ShapeDtypeStruct(shape, "float32", sharding=sharded) for shape in [(64, 16), (16, 32)])
    found = memory(jax.jit(lambda x, w: (x + 1, w), donate_argnums=0).lower(x, w).compile())
    assert found.arguments == (64 * 16 + 16 * 32) * 4 // 8
    assert found.aliased == 64 * 16 * 4 // 8
    assert (
        found.arguments
        <= found.peak
        == found.arguments + found.outputs - found.aliased + found.temporaries + found.code
    )
    assert "peak" in str(found)


def test_the_largest_value_is_found_in_a_loop_by_its_source_line():
    f = lambda x: jax.lax.scan(lambda c, _: (jnp.sin(jnp.sin(c) @ c), None), x, None, length=3)[0].sum()
    compiled = jax.jit(f).lower(jnp.ones((300, 300))).compile()
    found = largest(compiled, 99)
    assert found[0].bytes == 300 * 300 * 4
    assert any("test_memory.py" in str(b.place) for b in found if b.bytes == found[0].bytes)
    assert largest(compiled, 3) == largest(compiled.as_text(), 3)
    assert [b.bytes for b in found] == sorted((b.bytes for b in found), reverse=True)


def test_what_lies_in_another_memory_counts_nothing():
    text = (
        "HloModule m\n\nENTRY %main (x: f32[8]) -> f32[8] {\n  %x = f32[8]{0:T(128)} parameter(0)\n"
        "  %near = f32[8]{0:T(128)S(1)} copy(%x)\n  ROOT %far = f32[8]{0:T(128)} copy(%near)\n}\n"
    )
    assert [(b.name, b.bytes) for b in largest(text)] == [("far", 32), ("near", 0)]


@pytest.mark.filterwarnings("ignore:Some donated buffers were not usable")
@pytest.mark.parametrize("placed", [False, True])
def test_donations_in_vain_are_named(placed):
    sharding = NamedSharding(mesh(), PartitionSpec("data")) if placed else None
    s = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32, sharding=sharding)
    state = {"unused": s(8, 3), "none": None, "used": s(8, 5), "vain": s(8, 4)}

    def step(state, x):
        return {"used": state["used"] + 1}, state["vain"].sum() + x.sum()

    compiled = jax.jit(step, donate_argnums=0).lower(state, s(8)).compile()
    assert not_aliased(compiled) == ["state['vain']"]
    assert not_aliased(jax.jit(step).lower(state, s(8)).compile()) == []


def test_several_donations_that_are_all_taken_over():
    step = jax.jit(lambda state: {k: v + 1 for k, v in state.items()}, donate_argnums=0)
    assert not_aliased(step.lower({str(n): np.ones(n + 1, np.float32) for n in range(5)}).compile()) == []


class Silent:
    """A backend without an analysis of its memory."""

    def memory_analysis(self):
        return None


def test_a_backend_that_says_nothing_is_one_clear_error():
    with pytest.raises(ValueError, match="memory: this backend says nothing"):
        memory(Silent())
