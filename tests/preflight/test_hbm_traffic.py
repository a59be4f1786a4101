"""traffic, of programs whose bytes are known."""

import jax
import jax.numpy as jnp
import pytest

from jnn.preflight._hbm_traffic import hbm_traffic

LAYERS, WIDTH, ROWS = 32, 64, 16
MATRIX, STREAM = 4 * WIDTH * WIDTH, 4 * ROWS * WIDTH


def compiled(f, *shapes, **options):
    return jax.jit(f, **options).lower(*(jax.ShapeDtypeStruct(s, jnp.float32) for s in shapes)).compile()


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
