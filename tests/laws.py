"""The laws over a table of everything: `jnn.laws` on eight devices, and those that are about the table as a whole."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import jnn
from jnn.laws import LAWS, broken_by, laws_of, value_and_gradient
from tests.table import BLOCKS, LOSSES, is_large, of_a_large_model
from tests.tolerance import loosened

loss_table = pytest.mark.parametrize("loss", LOSSES, ids=lambda row: row.name)
TOLERANCE = {"rtol": 2e-5, "atol": 2e-5}
OF_ALL_AT_ONCE = "a draw hangs on its path"


def assert_close(a, b, **tolerance):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        near = loosened(**(tolerance or TOLERANCE))
        np.testing.assert_allclose(np.asarray(x, np.float32), np.asarray(y, np.float32), **near)


@pytest.mark.parametrize(
    ("block", "law"),
    [of_a_large_model(block, law) for block in BLOCKS for law in laws_of(block) if law != OF_ALL_AT_ONCE],
    ids=lambda x: getattr(x, "name", x),
)
def test_law(block, law):
    found = broken_by(block, LAWS[law])
    assert found is None, found


ENCODER = jnn.models.EncoderConfig(vocab=5, layers=2, heads=2, embed=4, hidden=6, context=4)
TOWER = jnn.models.TowerConfig(layers=2, heads=2, embed=4, hidden=6)
PAIR = {"image": (4, 4, 1), "patch": 2, "vocab": 5, "context": 3, "images": TOWER, "texts": TOWER}
SPECS = {
    "prelu_spec": (4,),
    "adapter_spec": (4, 2),
    "prefix_spec": (2, 3, 4),
    "linear_spec": (3, 2),
    "conv_spec": (2, 4, (3,)),
    "conv_transpose_spec": (2, 4, (3,)),
    "depthwise_conv_spec": (2, (3,)),
    "separable_conv_spec": (2, 4, (3,)),
    "batch_norm_spec": (3,),
    "layer_norm_spec": (3,),
    "rms_norm_spec": (3,),
    "group_norm_spec": (4,),
    "instance_norm_spec": (3,),
    "embed_spec": (5, 2),
    "learned_positions_spec": (5, 2),
    "attention_spec": (4, 2),
    "mamba2_spec": (4, 2),
    "gated_delta_net_spec": (4, 2),
    "s4d_spec": (4,),
    "feed_forward_spec": (4, 8),
    "latent_attention_spec": (4, 2),
    "relative_bias_spec": (2, 4),
    "relative_attention_spec": (2, 3, 4),
    "mixture_of_experts_spec": (2, 3, 4),
    "bilinear_spec": (2, 3, 4),
    "adaptive_log_softmax_spec": (4, 6, (2, 4)),
    "squeeze_excitation_spec": (4, 2),
    "efficient_channel_attention_spec": (3,),
    "cbam_spec": (4, 2),
    "feature_pyramid_spec": ((2, 3), 4),
    "atrous_pyramid_spec": (2, 3),
    "locally_connected_spec": ((4,), 2, 3, (3,)),
    "conv_lstm_cell_spec": (2, 3, (3,)),
    "inverted_residual_spec": (2, 3),
    "convnext_block_spec": (2,),
    "filter_response_norm_spec": (3,),
    "film_spec": (2, 3),
    "ada_layer_norm_spec": (2, 3),
    "ada_layer_norm_zero_spec": (2, 3),
    "batch_renorm_spec": (3,),
    "embedding_bag_spec": (5, 2),
    "deformable_conv_spec": (2, 4, (3, 3)),
    "rnn_cell_spec": (2, 3),
    "lstm_cell_spec": (2, 3),
    "gru_cell_spec": (2, 3),
    "peephole_lstm_cell_spec": (2, 3),
    "projected_lstm_cell_spec": (2, 3, 2),
    "mogrifier_lstm_cell_spec": (2, 3),
    "minimal_gated_cell_spec": (2, 3),
    "sru_cell_spec": (2, 3),
    "qrnn_spec": (2, 3),
    "additive_attention_spec": (2, 3, 4),
    "multiplicative_attention_spec": (2, 3),
    "bahdanau_spec": (jnn.layers.gru_cell_spec, 2, 3, 4),
    "luong_spec": (jnn.layers.lstm_cell_spec, 2, 3, 4),
    "capsules_spec": (2, 3, 4, 5),
    "lif_cell_spec": (2, 3),
    "recurrent_lif_cell_spec": (2, 3),
    "fourier_features_spec": (2, 3),
    "siren_spec": (2, 3),
    "vector_quantize_spec": (2, 3),
    "gumbel_vector_quantize_spec": (2, 3, 4),
    "affine_coupling_spec": (3, 4),
    "autoregressive_flow_spec": (3, 4),
    "kan_spec": (2, 3),
    "hopfield_spec": (2, 3, 4),
    "deep_sets_spec": (2, 3, 4),
    "multihead_attention_block_spec": (4, 2),
    "set_attention_block_spec": (4, 2),
    "induced_set_attention_block_spec": (4, 2, 3),
    "pooling_by_attention_spec": (4, 2, 3),
    "hyper_linear_spec": (2, 3, 4),
    "quantum_circuit_spec": (2, 3),
    "data_reuploading_spec": (2, 3),
    "highway_spec": (2,),
    "gcn_spec": (2, 3),
    "graph_sage_spec": (2, 3),
    "gin_spec": (2, 3, 4),
    "edge_conv_spec": (2, 3, 4),
    "edge_conditioned_conv_spec": (2, 3, 4, 5),
    "principal_aggregation_spec": (2, 3),
    "gat_spec": (2, 3, 4),
    "gatv2_spec": (2, 3, 4),
    "graph_transformer_spec": (2, 3, 4),
    "gated_graph_conv_spec": (2,),
    "attention_pool_spec": (2,),
    "set2set_spec": (2,),
    "top_k_pool_spec": (2,),
    "perceptron_spec": (3,),
    "mlp_spec": ((3, 4, 2),),
    "cnn_spec": ((8, 8, 1), (2,), 3, 2),
    "recurrent_classifier_spec": (5, 2, 3, 2),
    "transformer_spec": (5, 4),
    "transformer_block_spec": (4, 2, 8),
    "decoder_spec": (jnn.models.DecoderConfig(vocab=5, layers=2, heads=2, embed=4, hidden=6),),
    "encoder_spec": (ENCODER,),
    "pooler_spec": (ENCODER,),
    "masked_language_model_spec": (ENCODER,),
    "sequence_classifier_spec": (ENCODER, 3),
    "token_classifier_spec": (ENCODER, 3),
    "encoder_decoder_spec": (jnn.models.EncoderDecoderConfig(vocab=5, layers=2, heads=2, embed=4, hidden=6),),
    "conv_norm_spec": (2, 3),
    "mobilenet_v2_spec": (2,),
    "efficientnet_lite_spec": (2,),
    "efficientnet_spec": (2,),
    "mobilenet_v3_spec": (2,),
    "node_classifier_spec": (2, 3, 4),
    "graph_classifier_spec": (2, 3, 4),
    "seq2seq_spec": (5, 4, 2, 3),
    "capsnet_spec": (),
    "siamese_spec": (2,),
    "factorization_machine_spec": (3, 2),
    "neumf_spec": (2, 3, 2, (4, 2)),
    "two_tower_spec": (2, 3, (4, 2)),
    "sasrec_spec": (3, 2, 4),
    "diffusion_unet_spec": ((4, 8),),
    "pixelcnn_spec": (1, 3),
    "conformer_spec": (4,),
    "speaker_encoder_spec": (3, 4, 2),
    "tcn_spec": (2, (3,)),
    "wavenet_spec": (),
    "autoencoder_spec": ((4, 3),),
    "vae_spec": ((4, 3),),
    "dcgan_generator_spec": (),
    "dcgan_discriminator_spec": (),
    "unet_spec": ((4, 8), 2),
    "espcn_spec": (2,),
    "edsr_spec": (2,),
    "vit_spec": ((4, 4, 1), 2, 3),
    "deit_spec": ((4, 4, 1), 2, 3),
    "masked_autoencoder_spec": ((4, 4, 1), 2),
    "clip_spec": (jnn.models.ClipConfig(**PAIR, vectors=3),),
    "siglip_spec": (jnn.models.SiglipConfig(**PAIR),),
    "mlp_mixer_spec": ((4, 4, 1), 2, 3),
    "convnext_spec": ((1,), (4,), 2),
    "vgg_spec": (((4,),), 2),
    "vgg_features_spec": (((4,),),),
    "alexnet_spec": (2,),
    "lenet5_spec": (),
    "densenet_spec": ((1,), 4, 2),
    "resnet_spec": ((1,), (4,), 3),
    "preactivation_resnet_spec": ((1,), (4,), 3),
    "mobilenet_spec": (2,),
    "efficientnet_v2_spec": (2,),
    "xception_spec": (2,),
    "inception_v3_spec": (2,),
    "inception_resnet_v2_spec": (2,),
    "mamba2_decoder_spec": (11,),
    "fcos_head_spec": (4, 3),
    "nbeats_spec": (4, 2),
    "nhits_spec": (8, 2),
    "patchtst_spec": (16, 2),
    "deepar_spec": (1, 4),
}
MASKED = dict.fromkeys(("layers", "heads", "decoder_layers", "decoder_heads"), 1) | {"embed": 4, "decoder_embed": 4}
SIZES = {
    "transformer_spec": {"layers": 2, "heads": 2, "embed": 4},
    "vit_spec": {"layers": 2, "heads": 2, "embed": 4},
    "deit_spec": {"layers": 2, "heads": 2, "embed": 4},
    "masked_autoencoder_spec": MASKED,
    "mlp_mixer_spec": {"layers": 2, "embed": 4, "tokens_hidden": 3, "hidden": 5},
    "mamba2_spec": {"head": 3, "states": 2},
    "conformer_spec": {"layers": 2, "heads": 2},
    "fcos_head_spec": {"levels": 2},
    "mamba2_decoder_spec": {"layers": 2, "embed": 4, "heads": 4, "head": 2},
    "gated_delta_net_spec": {"head": 3, "states": 2},
    "latent_attention_spec": {"latent": 3, "head": 2, "turned": 2},
}
OF_OTHERS = {  # a cell's twice, a weight's in two; statistics are float32
    "bidirectional_spec",
    "weight_norm_spec",
    "batch_norm_stats_spec",
    "batch_stats_spec",
    "conformer_stats_spec",
}


def test_law_1_every_spec_takes_a_dtype_and_declares_all_of_it_in_it():
    rooms = (jnn.activations, jnn.graphs, jnn.layers, jnn.models)
    found = {name: getattr(room, name) for room in rooms for name in room.__all__ if name.endswith("_spec")}
    assert set(found) == set(SPECS) | OF_OTHERS
    for name, args in SPECS.items():
        spec = found[name](*args, **SIZES.get(name, {}), dtype=jnp.bfloat16)
        assert {jnp.dtype(param.dtype) for param in jax.tree.leaves(spec)} == {jnp.dtype(jnp.bfloat16)}, name


def test_every_draw_that_is_scaled_by_fans_has_the_variance_of_one_map():
    """Of a stack one layer, of experts one expert, of a cell one gate: whatever lies beside it does not count."""
    rule, cases = jnn.initializers.VarianceScaling(2.0, "fan_avg", "uniform"), {}
    for row in [row for row in BLOCKS if not is_large(row)]:  # made of the layers of the others
        for path, param in jnn.flatten(row.spec).items():
            if (
                param.fan_in
                and jnp.issubdtype(param.dtype, jnp.floating)
                and len(param.fan_in + param.fan_out) < len(param.axes)
            ):
                cases[param.shape, param.stacked, param.receptive] = f"{row.name} {path}", param

    @jax.jit
    def variances(key):
        many = lambda param: jax.random.split(key, 1 + 10_000 // int(np.prod(param.shape)))
        draw = lambda param: jax.vmap(dataclasses.replace(param, init=rule).draw)(many(param))
        return [jnp.var(draw(param)) for _, param in cases.values()]

    for (name, param), variance in zip(cases.values(), variances(jax.random.key(0)), strict=True):
        size = dict(zip(param.axes, param.shape, strict=True))
        of = lambda names, size=size: int(np.prod([size[name] for name in names]))
        fan = of(param.receptive) * (of(param.fan_in) + of(param.fan_out)) / 2
        np.testing.assert_allclose(variance * fan, 2.0, rtol=0.06, err_msg=name)


def first_divisible(spec: Any) -> str | None:
    """The first axis all of whose sizes are multiples of eight."""
    sizes: dict[str, list[int]] = {}
    for p in jax.tree.leaves(spec):
        for name, size in zip(p.axes, p.shape, strict=True):
            sizes.setdefault(name, []).append(size)
    return next((name for name, found in sizes.items() if all(size % 8 == 0 for size in found)), None)


def ways_to_draw(row: Any) -> set[str]:
    """How the parameters of a row are drawn, and whether devices share them: what law 2 can depend on."""
    shared = first_divisible(row.spec)
    how = lambda init: getattr(init, "__qualname__", None) or repr(init)
    return {f"{how(p.init)}, shared: {shared in p.axes}" for p in jax.tree.leaves(row.spec)}


def first_of_every_way() -> list[Any]:
    """Rows that between them draw in every way of the table, small ones first; the others add none."""
    seen: set[str] = set()
    rows = sorted(BLOCKS, key=is_large)
    return [row for row in rows if ways_to_draw(row) - seen and not seen.update(ways_to_draw(row))]


FIRST = first_of_every_way()


@functools.cache
def drawn_among_others(axis: str | None, first: bool) -> dict:
    """One model of the rows whose first axis that eight devices divide is this: spread over them along it."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    rows = {row.name: row.spec for row in BLOCKS if (row in FIRST) == first and first_divisible(row.spec) == axis}
    return jnn.init(
        {"others": jnn.activations.prelu_spec(), **rows},
        jax.random.key(0),
        mesh=mesh,
        rules={axis: "x"} if axis else {},
    )


@pytest.mark.parametrize(
    "block",
    [pytest.param(row, marks=() if row in FIRST else pytest.mark.slow) for row in BLOCKS],
    ids=lambda block: block.name,
)
def test_law_2_a_draw_hangs_on_its_path(block):
    """Not on what else is drawn, and not on the devices: alone on one it is as among other rows on eight."""
    others = drawn_among_others(first_divisible(block.spec), block in FIRST)
    assert_close(block.drawn, others[block.name], rtol=0, atol=0)


OPTIONAL = {"b": 0.0, "bias": 0.0, "scale": 1.0}  # a leaf of this name, and what it is where there is none


def without(params, name):
    """Parameters without the leaves of a name."""
    if isinstance(params, list | tuple):
        return type(params)(without(p, name) for p in params)
    if not isinstance(params, dict):
        return params
    return {key: without(p, name) for key, p in params.items() if key != name}


@pytest.mark.parametrize(
    ("block", "name"),
    [
        of_a_large_model(row, name)
        for row in BLOCKS
        for name in OPTIONAL
        if any(p.split("/")[-1] == name for p in jnn.flatten(row.spec))
    ],
    ids=lambda x: getattr(x, "name", x),
)
def test_law_3_what_params_hold_says_what_is_computed(block, name):
    """No flag: a bias, an offset or a scale is there iff its leaf is; its shape carries what else there is to know."""
    inputs = block.inputs(8)
    neutral = lambda path, x: np.full(x.shape, OPTIONAL[name], x.dtype) if path.split("/")[-1] == name else x
    params = jnn.param.map_paths(neutral, block.params)
    found = block.compiled(without(params, name), *inputs, key=block.key)
    assert_close(found, block.differentiated(params, *inputs)[0])


@loss_table
def test_law_8_losses_return_one_number_per_example(loss):
    predictions, targets = loss.inputs(2, 3)
    ways = loss.apply, jax.vmap(jax.vmap(loss.apply))
    whole, one_by_one = jax.jit(lambda *a: [f(*a) for f in ways])(predictions, targets)
    assert whole.shape[:2] == (2, 3)
    assert_close(whole, one_by_one)


@loss_table
def test_law_6_losses_jit_equals_eager_and_sharded(loss):
    predictions, targets = loss.inputs(8)
    run = lambda *a: value_and_gradient(loss.apply, *a)
    compiled = jax.jit(run)
    whole = compiled(predictions, targets)
    assert_close(loss.apply(predictions, targets), whole[0])
    mesh = jax.make_mesh((4, 2), ("data", "tensor"), axis_types=(AxisType.Auto,) * 2)
    on_host = np.asarray(predictions), np.asarray(targets)
    sharded = jax.device_put(on_host, NamedSharding(mesh, PartitionSpec("data")))
    assert_close(compiled(*sharded), whole)
