"""Encoder-decoders: the paper's equations in torch, padding, causality, caches, remat, parallelism, bad input.

(Against Hugging Face's own: `test_hugging_face_pairs`. What a config.json says: `test_encoder_decoder_configs`.)
"""

import dataclasses
import functools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

import jnn
from jnn.interop.torch import load_state_dict
from jnn.losses import cross_entropy
from jnn.models import (
    EncoderDecoderConfig,
    SinusoidalPositions,
    cached_encoder_decoder,
    encode_source,
    encoder_decoder,
    encoder_decoder_cache,
    encoder_decoder_spec,
)
from jnn.train import LossOutput
from tests.models.encoder_decoders import KINDS, SIZES
from tests.models.meshes import assert_trains_as_on_one_device
from tests.models.torch_transformer import NAMES, Transformer

PAPER = KINDS["paper"]
RNG = np.random.default_rng(0)
SOURCE, TARGET = (RNG.integers(0, 11, (3, n)).astype(np.int32) for n in (7, 5))
FRAMES = RNG.normal(size=(3, 7, 3)).astype(np.float32)
LENGTHS = np.array([7, 4, 1], np.int32)
with_kinds = lambda *fast: pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in fast else pytest.mark.slow) for kind in KINDS]
)


@functools.cache
def params_of(kind):
    """Drawn by NumPy, for which nothing is compiled."""
    rng = np.random.default_rng(0)
    draw = lambda x: jnp.asarray(rng.normal(0.3, 0.4, x.shape), x.dtype)
    return jax.tree.map(draw, jnn.abstract(encoder_decoder_spec(KINDS[kind])))


def source_of(kind):
    return SOURCE if KINDS[kind].bands is None else FRAMES


def test_the_paper_matches_its_equations_in_torch():
    """Logits and all gradients."""
    torch.manual_seed(0)
    module = Transformer(**SIZES).double()
    for parameter in module.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    wanted = module(*(torch.tensor(x).long() for x in (SOURCE, TARGET, LENGTHS)))
    direction = np.random.default_rng(1).normal(size=wanted.shape)
    (wanted * torch.tensor(direction)).sum().backward()
    with jax.enable_x64(True):
        config = dataclasses.replace(PAPER, bias=("q", "k", "v", "o", "up", "down"))
        spec = encoder_decoder_spec(config, dtype=jnp.float64)
        p = load_state_dict(spec, module.state_dict(), NAMES)
        gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
        theirs = jnn.flatten(load_state_dict(spec, gradients, NAMES))

        @jax.jit
        def run(p):
            apply = lambda p: encoder_decoder(p, SOURCE, TARGET, config, key=None, lengths=LENGTHS)
            logits, back = jax.vjp(apply, p)
            return logits, back(jnp.asarray(direction))[0]

        logits, ours = run(p)
        np.testing.assert_allclose(logits, wanted.detach().numpy(), rtol=0, atol=1e-11)
        for path, gradient in jnn.flatten(ours).items():
            np.testing.assert_allclose(gradient, theirs[path], rtol=0, atol=1e-10, err_msg=path)


@with_kinds("whisper")
def test_what_stands_past_a_length_changes_nothing(kind):
    """Neither whatever it is, nor that it is there."""
    config, source = KINDS[kind], source_of(kind)
    run = jax.jit(lambda p, source, n: encoder_decoder(p, source, TARGET[:1], config, key=None, lengths=n))
    p = params_of(kind)
    padded = run(p, source[:1], LENGTHS[1:2])
    other = np.concatenate([source[:1, :4], source[1:2, 4:]], 1)
    np.testing.assert_array_equal(run(p, other, LENGTHS[1:2]), padded)
    alone = jax.jit(lambda p: encoder_decoder(p, source[0, :4], TARGET[0], config, key=None))(p)
    np.testing.assert_allclose(alone, padded[0], rtol=1e-4, atol=1e-4)


def test_logits_know_no_later_token_by_gradient():
    config, p = KINDS["bart"], params_of("bart")

    @jax.jit
    @jax.jacrev
    def by_position(table, p):
        p = {**p, "decoder": p["decoder"] | {"position": {"table": table}}}
        return jnp.sin(encoder_decoder(p, SOURCE[0], TARGET[0], config, key=None, remat=None)).sum(-1)

    seen = np.abs(by_position(p["decoder"]["position"]["table"], p)).max(-1) > 0  # (t, offset + context)
    np.testing.assert_array_equal(seen[:, 2:7], np.tri(5, dtype=bool))
    assert not seen[:, [0, 1, 7, 8, 9, 10]].any()


@with_kinds("bart", "t5")
def test_chunks_are_the_whole(kind):
    config, source = KINDS[kind], source_of(kind)
    p, step, parts = params_of(kind), jax.jit(partial(cached_encoder_decoder, config=config)), []

    @jax.jit
    def begin(p):
        whole = encoder_decoder(p, source, TARGET, config, key=None, lengths=LENGTHS)
        return whole, encoder_decoder_cache(p, source, config, 5, lengths=LENGTHS)

    whole, cache = begin(p)
    for start, end in ((0, 1), (1, 4), (4, 5)):
        logits, cache = step(p, TARGET[:, start:end], cache)
        parts.append(logits)
    np.testing.assert_allclose(np.concatenate(parts, 1), whole, rtol=1e-4, atol=1e-4)
    assert np.isnan(step(p, TARGET[:, :1], cache)[0]).all()  # it is full


def test_the_cache_holds_each_source_once_for_all_layers():
    p = jnn.abstract(encoder_decoder_spec(KINDS["t5"]))
    made = jax.eval_shape(lambda p: encoder_decoder_cache(p, SOURCE, KINDS["t5"], 9, lengths=LENGTHS), p)
    assert made["cross"]["k"].shape == (2, 3, 7, 2, 6)
    assert made["self"]["v"].shape == (2, 3, 9, 2, 6)
    assert {x.shape[:2] for path, x in jnn.flatten(made).items() if path != "self/next"} == {(2, 3)}


def test_sinusoids_of_whisper_end_at_their_slowest():
    rates = SinusoidalPositions(interleaved=False, inclusive=True).rates(8)
    np.testing.assert_allclose(rates, np.exp(-np.log(10_000) / 3 * np.arange(4)))


def test_initial_logits_have_a_variance_of_one():
    config = dataclasses.replace(PAPER, vocab=300, embed=64, out_scale=0.5)
    table = jnn.init({"embed": encoder_decoder_spec(config)["embed"]}, jax.random.key(0))["embed"]["table"]
    assert 0.9 < jnp.std(table) * 0.5 * 64**0.5 < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("remat", ["full", "names", None])
def test_remat_changes_no_value(remat):
    p, config = params_of("t5"), KINDS["t5"]
    run = lambda p, remat: jnp.sin(encoder_decoder(p, SOURCE, TARGET, config, key=None, remat=remat)).sum()
    found, dots = (jax.jit(jax.value_and_grad(run), static_argnums=1)(p, how) for how in (remat, "dots"))
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(dots), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("paper", text) for text in ("data=2,fsdp=2,tensor=2", "stage=2,data=4")),
        *(("t5", text) for text in ("fsdp=8", "stage=2,data=4")),
    ],
)
def test_training_on_every_mesh_is_that_of_one_device(kind, text):
    """By plain gradient descent: Adam makes a step of rounding, where a gradient is none."""
    sizes = {"vocab": 64, "layers": 4, "decoder_layers": 2, "heads": 4, "embed": 32, "hidden": 64, "head": 8}
    config = dataclasses.replace(KINDS[kind], **sizes)
    spec, optimizer = encoder_decoder_spec(config), optax.sgd(0.5)
    rng = np.random.default_rng(0)
    data = {name: rng.integers(0, 64, (16, n)).astype(np.int32) for name, n in (("x", 12), ("y", 16))}
    data["n"] = rng.integers(1, 13, 16).astype(np.int32)

    def loss(p, batch, ctx):
        read = partial(encoder_decoder, p, batch["x"], batch["y"], config, lengths=batch["n"])
        return LossOutput(cross_entropy(read(key=ctx.key, rate=0.1), batch["y"]))

    assert_trains_as_on_one_device(text, spec, loss, optimizer, data)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: encoder_decoder(p, SOURCE, jnp.ones((3, 5)), PAPER, key=None), TypeError, "decoder: expected int"),
        (lambda p: encoder_decoder(p, FRAMES, TARGET, PAPER, key=None), TypeError, "encode_source: expected integers"),
        (lambda p: encoder_decoder(p, SOURCE[:2], TARGET, PAPER, key=None), ValueError, r"each target int32\[3,5\]"),
        (lambda p: encoder_decoder(p, SOURCE, TARGET, PAPER), TypeError, "key"),
        (lambda p: encode_source(p, SOURCE + 11, PAPER, key=None), ValueError, r"embed: expected tokens in 0..10"),
        (lambda p: encode_source(p, SOURCE, PAPER, key=None, lengths=LENGTHS[:2]), ValueError, r"lengths \(3,\), one"),
        (lambda p: encode_source(p, SOURCE, PAPER, key=None, remat="all"), ValueError, "remat is None, a tuple"),
        (
            lambda p: cached_encoder_decoder(p, jnp.ones(3), encoder_decoder_cache(p, SOURCE[0], PAPER, 4), PAPER),
            TypeError,
            "cached_encoder_decoder: expected integers",
        ),
    ],
)
def test_bad_input_is_one_clear_error(call, error, message):
    with pytest.raises(error, match=message):
        call(params_of("paper"))


def test_more_rows_than_learned_positions_are_an_error():
    config = KINDS["bart"]
    p = jnn.abstract(encoder_decoder_spec(config))
    with pytest.raises(ValueError, match="found 10 rows, its params have 9 positions"):
        jax.eval_shape(lambda p: encode_source(p, jnp.zeros(10, jnp.int32), config, key=None), p)


def test_a_default_is_the_papers():
    assert EncoderDecoderConfig(11, 2, 2, 8, 12) == PAPER
