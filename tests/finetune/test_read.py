"""What is put beside a weight, or in its place, goes into the outputs or is refused: nothing is passed over."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr

import jnn
from jnn import layers
from jnn.finetune import adapters_spec, dora_spec, lora_spec, merge_lora, prefixes_spec, with_lora, with_parts
from jnn.models import DecoderConfig, decoder_spec, paged_decoder, paged_decoder_cache
from jnn.param import linear_maps
from jnn.quantization import dequantize, quantize
from tests.table import BLOCKS

KEY = jax.random.key(0)
BY_THEMSELVES = {"experts", "expert_choice", "autoregressive_flow", "rnn-lstm", "rnn-gru", "mamba2"}
LEFT_OUT = ("-int", "dora", "adapters", "drop_connect")  # those that have some; one whose row is of an array


def zeros(spec):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jnn.abstract(spec))


def unread(block, p):
    """What of these parameters goes into no output."""
    trace = lambda p, *x: block.apply(p, *x, key=block.key)
    jaxpr = jax.make_jaxpr(trace)(p, *block.inputs(2)).jaxpr
    _, used = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return [path for path, read in zip(jnn.flatten(p), used, strict=False) if not read]


def found(block, make):
    """What of the parameters that are made is passed over, or why they are refused; any other error is one."""
    try:
        return unread(block, make())
    except ValueError as error:
        return str(error)


def is_read(found, *refusals):
    return not found or any(words in found for words in refusals)


def is_map_of_floats(block):
    return linear_maps("test_read", block.spec) and not any(kind in block.name for kind in LEFT_OUT)


# the rows of the law table that have linear maps, most of them among the slow tests
every_map = pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.name, marks=() if block.name in BY_THEMSELVES else pytest.mark.slow)
        for block in BLOCKS
        if is_map_of_floats(block)
    ],
)


@every_map
def test_every_lora_and_every_integer_is_read_or_refused(block):
    p = zeros(block.spec)
    for path in linear_maps("test_read", block.spec):
        beside = found(block, lambda path=path: with_lora(p, zeros(lora_spec(block.spec, 2, where=path))))
        assert is_read(beside, "found a 'lora' in"), beside
        instead = found(block, lambda path=path: quantize(p, block.spec, where=path))
        assert is_read(instead, "found integers with scales"), instead


DECLARED = {"adapters": adapters_spec, "prefixes": prefixes_spec}
REFUSALS = ("no transformer block fits", "no attention fits", "prefix has no positions", "mask of pairs", "that divide")


@pytest.mark.slow
@pytest.mark.parametrize("kind", DECLARED)
@pytest.mark.parametrize("block", [block for block in BLOCKS if is_map_of_floats(block)], ids=lambda block: block.name)
def test_every_part_is_read_where_it_is_declared_or_refused(block, kind):
    if "prefix" not in block.name:
        own = found(block, lambda: with_parts(zeros(block.spec), zeros(DECLARED[kind](block.spec, 2))))
        assert is_read(own, *REFUSALS), own


@pytest.mark.parametrize(
    ("cell", "spec"), [(layers.lstm_cell, layers.lstm_cell_spec(3, 4)), (layers.gru_cell, layers.gru_cell_spec(3, 4))]
)
def test_a_recurrence_on_a_cpu_reads_what_stands_beside_its_weights(cell, spec):
    rng = np.random.default_rng(0)
    draw = lambda spec: jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), jnp.float32), spec)
    p, dora, x = draw(spec), draw(dora_spec(spec, 2, where="*")), jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32)
    run = jax.jit(lambda p: layers.rnn(cell, p, x)[0])
    np.testing.assert_allclose(run(with_lora(p, dora)), run(merge_lora(p, dora)), rtol=1e-5, atol=1e-5)
    assert abs(run(with_lora(p, dora)) - run(p)).max() > 0.1
    q = quantize(p, spec)
    np.testing.assert_allclose(run(q), run(dequantize(q)), rtol=1e-5, atol=1e-5)


def test_pages_are_of_a_quantized_decoder_too():
    config = DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, kv_heads=1)
    spec = decoder_spec(config)
    p = quantize(jnn.init(spec, KEY), spec)
    cache = paged_decoder_cache(p, config, 4, 3, jnp.array([[2, 0]]))
    assert cache["k"].shape == (2, 4, 3, 1, 4)
    logits, _ = paged_decoder(p, jnp.array([[1, 2, 3, 4]]), cache, config)
    whole = jnn.models.decoder(p, jnp.array([[1, 2, 3, 4]]), config, key=None)
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)
