"""What is put beside a weight, or in its place, goes into the outputs or is refused: nothing is passed over."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.interpreters.partial_eval import dce_jaxpr

import jnn
from jnn import layers
from jnn.finetune import dora_spec, lora_spec, merge_lora, quantize, with_lora
from jnn.finetune._select import linear_maps
from jnn.models import DecoderConfig, decoder_spec, paged_decoder, paged_decoder_cache
from tests.table import BLOCKS

KEY = jax.random.key(0)
BY_THEMSELVES = {"experts", "expert_choice", "autoregressive_flow", "rnn-lstm", "mamba2"}
LEFT_OUT = ("-int", "dora", "adapters", "drop_connect")  # those that have some; one whose row is of an array


def zeros(spec):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jnn.abstract(spec))


def is_refused(trace, words):
    """Whether the layer says so; any other error is one."""
    try:
        trace()
    except ValueError as error:
        assert words in str(error), error
        return True
    return False


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.name, marks=() if block.name in BY_THEMSELVES else pytest.mark.slow)
        for block in BLOCKS
        if linear_maps(block.spec) and not any(kind in block.name for kind in LEFT_OUT)
    ],
)
def test_every_lora_and_every_integer_is_read_or_refused(block):
    p, inputs = zeros(block.spec), block.inputs(2)
    trace = lambda p: jax.make_jaxpr(lambda p, *x: block.apply(p, *x, key=block.key))(p, *inputs).jaxpr
    for path in linear_maps(block.spec):
        tuned = with_lora(p, zeros(lora_spec(block.spec, 2, path)))
        if not is_refused(partial(trace, tuned), "found a 'lora' in"):
            jaxpr = trace(tuned)
            _, used = dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
            unread = [part for part, read in zip(jnn.flatten(tuned), used, strict=False) if not read]
            assert not [part for part in unread if "lora" in part]
        is_refused(partial(trace, quantize(p, block.spec, where=path)), "found integers with scales")


def test_an_lstm_on_a_cpu_reads_what_stands_beside_its_weights():
    spec, rng = layers.lstm_cell_spec(3, 4), np.random.default_rng(0)
    draw = lambda spec: jax.tree.map(lambda s: jnp.asarray(rng.normal(size=s.shape), jnp.float32), spec)
    p, dora, x = draw(spec), draw(dora_spec(spec, 2, "*")), jnp.asarray(rng.normal(size=(2, 5, 3)), jnp.float32)
    run = jax.jit(lambda p: layers.rnn(layers.lstm_cell, p, x)[0])
    np.testing.assert_allclose(run(with_lora(p, dora)), run(merge_lora(p, dora)), rtol=1e-5, atol=1e-5)
    assert abs(run(with_lora(p, dora)) - run(p)).max() > 0.1
    q = quantize(p, spec)
    np.testing.assert_allclose(run(q), run(jnn.finetune.dequantize(q)), rtol=1e-5, atol=1e-5)


def test_pages_are_of_a_quantized_decoder_too():
    config = DecoderConfig(vocab=11, layers=2, heads=2, embed=8, hidden=12, kv_heads=1)
    spec = decoder_spec(config)
    p = quantize(jnn.init(spec, KEY), spec)
    cache = paged_decoder_cache(p, config, 4, 3, jnp.array([[2, 0]]))
    assert cache["k"].shape == (2, 4, 3, 1, 4) and cache["k"].dtype == jnp.float32
    logits, _ = paged_decoder(p, jnp.array([[1, 2, 3, 4]]), cache, config)
    whole = jnn.models.decoder(p, jnp.array([[1, 2, 3, 4]]), config, key=None)
    np.testing.assert_allclose(logits, whole, rtol=1e-4, atol=1e-5)
