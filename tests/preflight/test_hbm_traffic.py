"""traffic, of programs whose bytes are known, and what a cache keeps of it."""

import itertools

import jax
import jax.numpy as jnp
import pytest

from jnn.inspect import parse
from jnn.preflight import _hbm_traffic
from jnn.preflight._cache import Touched, missed

LAYERS, WIDTH, ROWS = 32, 64, 16
MATRIX, STREAM = 4 * WIDTH * WIDTH, 4 * ROWS * WIDTH


def compiled(f, *shapes, **options):
    return jax.jit(f, **options).lower(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)).compile()


def hbm_traffic(program):
    return _hbm_traffic.hbm_traffic(program).bytes


def test_a_sum_reads_all_and_writes_little():
    assert 4000 < hbm_traffic(compiled(jnp.sum, (1000,))) < 4400  # in two passes


def test_a_fused_chain_is_read_and_written_once():
    assert hbm_traffic(compiled(lambda x, y: jnp.tanh(x) * y + 1, (1000,), (1000,))) == 3 * 4000


def test_a_product_reads_both_and_writes_one():
    assert hbm_traffic(compiled(lambda x, w: x @ w, (ROWS, WIDTH), (WIDTH, WIDTH))) == 2 * STREAM + MATRIX


def test_a_loop_over_layers_reads_each_once():
    chain = lambda x, w: jax.lax.scan(lambda x, w: (jnp.tanh(x @ w), None), x, w)[0]
    found = hbm_traffic(compiled(chain, (ROWS, WIDTH), (LAYERS, WIDTH, WIDTH)))
    least = LAYERS * (MATRIX + 2 * STREAM)
    assert least <= found < 4 * least  # all layers each time would be 16 times as much


def test_a_slice_written_in_place_costs_the_slice():
    put = lambda x, row: jax.lax.dynamic_update_slice(x, row, (3, 0))
    found = hbm_traffic(compiled(put, (1000, 8), (1, 8), donate_argnums=0))
    assert found <= 4 * 4 * 8


def test_what_is_not_in_the_main_memory_is_free():
    text = """HloModule m

ENTRY %main (x: f32[100]) -> f32[100] {{
  %x = f32[100]{{0}} parameter(0)
  %near = f32[100]{{0:S({space})}} copy(%x)
  ROOT %y = f32[100]{{0}} negate(%near)
}}"""
    assert hbm_traffic(text.format(space=1)) == 800
    assert hbm_traffic(text.replace(":S({space})", "").format()) == 1600


@pytest.mark.parametrize("rows", [3, 30])
def test_law_more_bytes_cost_more(rows):
    double = lambda x: 2 * x
    assert hbm_traffic(compiled(double, (rows, 10))) == rows * hbm_traffic(compiled(double, (1, 10)))


def test_products_are_told_from_the_rest():
    chain = lambda x, w: jnp.tanh(jnp.sin(x) @ w)
    found = _hbm_traffic.hbm_traffic(compiled(chain, (ROWS, WIDTH), (WIDTH, WIDTH)))
    assert found.products >= MATRIX + 2 * STREAM
    assert found.others == found.uncached <= 4 * STREAM
    assert found.kernels >= 2


def test_a_slice_on_another_stream_costs_the_slice():
    """As a GPU's program has it: a fusion that starts here and is done there."""
    text = """HloModule m

%take (s: f32[12,100], n: s32[]) -> f32[1,100] {
  %s = f32[12,100]{1,0} parameter(0)
  %n = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %slice = f32[1,100]{1,0} dynamic-slice(%s, %n, %zero), dynamic_slice_sizes={1,100}
}

ENTRY %main (x: f32[12,100], i: s32[]) -> f32[1,100] {
  %x = f32[12,100]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %begun = ((f32[12,100]{1,0}, s32[]), f32[1,100]{1,0}, u32[]) fusion-start(%x, %i), kind=kLoop, calls=%take
  ROOT %ended = f32[1,100]{1,0} fusion-done(%begun)
}"""
    assert hbm_traffic(text) == 2 * 400 + 4


def test_what_is_under_way_is_handed_on_for_nothing():
    """A TPU's asynchronous gather: begun, worked on within a product's fusion, and ended."""
    gather = "bf16[16,8]{1,0} all-gather(%p), channel_id=7, replica_groups={}, dimensions={0}"
    text = f"""HloModule m, is_scheduled=true

%begin (p: bf16[8,8]) -> bf16[16,8] {{
  %p = bf16[8,8]{{1,0}} parameter(0)
  %g = {gather}, frontend_attributes={{chain_id="0"}}
  ROOT %c = bf16[16,8]{{1,0}} custom-call(%g), custom_call_target="AsyncCollectiveStart"
}}

%work (p: bf16[8,8], q: bf16[16,8], x: bf16[4,4]) -> (bf16[4,4], bf16[8,8], bf16[16,8]) {{
  %p = bf16[8,8]{{1,0}} parameter(0)
  %q = bf16[16,8]{{1,0}} parameter(1)
  %x = bf16[4,4]{{1,0}} parameter(2)
  %g = {gather}, frontend_attributes={{chain_id="0"}}
  %d = bf16[4,4]{{1,0}} dot(%x, %x), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  ROOT %t = (bf16[4,4]{{1,0}}, bf16[8,8]{{1,0}}, bf16[16,8]{{1,0}}) tuple(%d, %p, %g)
}}

%end (p: bf16[8,8], q: bf16[16,8]) -> bf16[16,8] {{
  %p = bf16[8,8]{{1,0}} parameter(0)
  %q = bf16[16,8]{{1,0}} parameter(1)
  %g = {gather}, frontend_attributes={{chain_id="0"}}
  ROOT %c = bf16[16,8]{{1,0}} custom-call(%p, %q, %g), custom_call_target="AsyncCollectiveDone"
}}

ENTRY %main (w: bf16[8,8], x: bf16[4,4]) -> bf16[16,8] {{
  %w = bf16[8,8]{{1,0}} parameter(0)
  %x = bf16[4,4]{{1,0}} parameter(1)
  %a = bf16[16,8]{{1,0}} fusion(%w), kind=kCustom, calls=%begin
  %b = (bf16[4,4]{{1,0}}, bf16[8,8]{{1,0}}, bf16[16,8]{{1,0}}) fusion(%w, %a, %x), kind=kOutput, calls=%work
  %whole = bf16[16,8]{{1,0}} get-tuple-element(%b), index=2
  ROOT %c = bf16[16,8]{{1,0}} fusion(%w, %whole), kind=kCustom, calls=%end
}}"""
    assert hbm_traffic(text) == 2 * (16 * 8) + 2 * (2 * 4 * 4)  # the gathered, and the product's two


CHAIN = """HloModule m

ENTRY %main (x: f32[100]) -> f32[100] {
  %x = f32[100]{0} parameter(0)
  %a = f32[100]{0} negate(%x)
  %b = f32[100]{0} negate(%a)
  ROOT %c = f32[100]{0} add(%a, %b)
}"""


def test_a_cache_keeps_what_was_touched_just_before():
    """x comes from the memory and c goes there; a and b stay, if there is room for them."""
    by = lambda cache: _hbm_traffic.hbm_traffic(CHAIN, "gpu", cache)
    assert [by(cache).bytes for cache in (0, 10**6)] == [7 * 400, 2 * 400]
    assert by(10**6).uncached == by(0).bytes
    found = [by(cache).bytes for cache in range(0, 2000, 100)]
    assert all(more >= less for more, less in itertools.pairwise(found))


BODY = """HloModule m

ENTRY %body (p: (f32[25], f32[250000])) -> f32[] {
  %p = (f32[25]{0}, f32[250000]{0}) parameter(0)
  %carried = f32[25]{0} get-tuple-element(%p), index=0
  %stack = f32[250000]{0} get-tuple-element(%p), index=1
  ROOT %r = f32[] custom-call(%carried, %stack)
}"""


@pytest.mark.parametrize(("value", "first", "again"), [("carried", 104, 4), ("stack", 104, 104)])
def test_a_loop_hands_on_what_fits(value, first, again):
    made = parse(BODY).computations["body"]
    moved = lambda repeated: missed(made, {"r": Touched({value: 100}, 4)}, 1000, repeated=repeated)["r"]
    assert [moved(repeated) for repeated in (False, True)] == [first, again]
