"""Published architectures, at toy widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jnn import activations, graphs, layers, models
from jnn.laws import Block
from jnn.param import Spec, map_paths
from tests.models.encoder_decoders import KINDS
from tests.table.encoder_decoders import reading, translating
from tests.table.graphs import one_graph, pooling
from tests.table.models import of_family
from tests.table.rows import floats, integers


def given(stats: Spec) -> Any:
    """Statistics of batch norms: by a batch's own, rounding in 16 bits has no bound."""
    return map_paths(lambda path, param: np.full(param.shape, 1.2 if path.endswith("var") else 0.1, np.float32), stats)


def normalized(name: str, model: Callable[..., Any], spec: Spec, *image: int, noisy: bool = False) -> Block:
    """A model of images with batch norm, by given statistics."""
    stats = given(models.batch_stats_spec(spec))
    apply = lambda p, x, key: model(p, x, stats, **({"key": key} if noisy else {}))[0]
    return Block(name, spec, apply, floats(*image), noisy=noisy)


def paired(name: str, spec: Spec, model: Callable[..., Any]) -> Block:
    """Images and texts, and how well they fit; at a scale that does not make of rounding fourteen times as much."""

    def apply(p: Any, images: Any, tokens: Any, key: Any) -> Any:
        one, other = model(p, images, tokens)
        scaled = {**p, "logit_scale": p["logit_scale"] / 8}
        return one, other, models.similarity_logits(scaled, one[..., None, :], other[..., None, :])

    return Block(name, spec, apply, lambda rng: (*floats(4, 6, 2)(rng), *integers(11, 5)(rng)))


def of_two(support: jax.Array) -> jax.Array:
    """Prototypes of two classes, of two examples each."""
    return models.prototypes(support, of_labels(support), 2)


def of_labels(support: jax.Array) -> jax.Array:
    """Which of two classes each example is of: they take turns."""
    return jnp.broadcast_to(jnp.arange(support.shape[-2]) % 2, support.shape[:-1])


def classifying(name: str, layer: Callable[..., Any], spec: Spec) -> Block:
    """A classifier of nodes, with dropout."""

    def apply(p: Any, x: Any, *edges: Any, key: Any) -> Any:
        return models.node_classifier(p, x, graphs.Edges(*edges), key=key, layer=layer)

    return Block(name, spec, apply, one_graph, noisy=True)


CONFORMER = models.conformer_spec(8, layers=2, heads=2, hidden=6, kernel=3)
HEARD = given(models.conformer_stats_spec(CONFORMER))
DECODER = {"decoder_layers": 2, "decoder_heads": 1, "decoder_embed": 4}
MASKED = models.masked_autoencoder_spec((4, 6, 2), 2, layers=2, heads=2, embed=8, learned=True, **DECODER)
CAPSULES = models.capsnet_spec(3, image=(5, 5, 1), width=2, kernel=3, maps=2, below=2, above=4, decoder=(5,))
DRAWING = {"decoder": CAPSULES.pop("decoder")}
LUONG = models.seq2seq_spec(6, 4, 4, 2, cell_spec=layers.lstm_cell_spec, step_spec=layers.luong_spec, both_ways=False)
TOWER = models.TowerConfig(layers=2, heads=2, embed=8, hidden=6, epsilon=1e-3)
CLIP = models.ClipConfig((4, 6, 2), 2, vocab=11, context=5, images=TOWER, texts=TOWER, vectors=3, end=4)
SIGLIP = models.SiglipConfig((4, 6, 2), 2, vocab=11, context=5, images=TOWER, texts=TOWER)
MOBILE = (models.MobileBlock(3, 8, 8, False, False, 1), models.MobileBlock(5, 12, 8, True, True, 2))
CROSSED = ((((2, 1),), ((2, 1), (2, "cross"))), 2)  # modules of Inception: one that does not halve, one that does,
HALVING = ((((2, 3),), ((2, (1, 7)), (2, 3))), 0)
ADDED = (((2, 1),), ((2, 1), (2, (3, 1))))  # and the branches of a residual one
BLOCKS = [
    normalized("conv_norm", models.conv_norm, models.conv_norm_spec(2, 3), 3, 3, 2),
    normalized(
        "inverted_residual",
        lambda *args, key: models.inverted_residual(*args, key=key, drop_path=0.5, activation=jax.nn.silu),
        models.inverted_residual_spec(4, 4, hidden=8, squeeze=2),
        *(3, 3, 4),
        noisy=True,
    ),
    normalized(
        "resnet",
        lambda *args, key: models.resnet(*args, key=key, drop_path=0.5),
        models.resnet_spec((2,), (4,), 3, stem=2, kernel=3, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "preactivation_resnet",
        lambda *args, key: models.preactivation_resnet(*args, key=key, rate=0.2, drop_path=0.5),
        models.preactivation_resnet_spec((2,), (4,), 3, stem=2, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    Block(
        "vgg",
        models.vgg_spec(((3,),), 3, image=(4, 4, 1), dense=4),
        lambda p, x, key: models.vgg(p, x, key=key),
        floats(4, 4, 1),
        noisy=True,
    ),
    Block(
        "alexnet",
        models.alexnet_spec(3, widths=(2,) * 5, image=(63, 63, 1), dense=4),
        lambda p, x, key: models.alexnet(p, x, key=key),
        floats(63, 63, 1),
        noisy=True,
    ),
    Block(
        "lenet5",
        models.lenet5_spec(features=4),
        lambda p, x, key: models.lenet5(p, x, np.ones((3, 4), np.float32)),
        floats(32, 32, 1),
    ),
    normalized(
        "densenet",
        lambda *args, key: models.densenet(*args, key=key, rate=0.2),
        models.densenet_spec((2, 1), 2, 3, stem=2, kernel=3, bottleneck=1, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    Block(
        "vit",
        models.vit_spec((4, 6, 2), 2, 3, layers=2, heads=2, embed=8, hidden=6),
        lambda p, x, key: models.vit(p, x, key=key, rate=0.2, drop_path=0.5),
        floats(4, 6, 2),
        noisy=True,
    ),
    Block(
        "deit",
        models.deit_spec((4, 6, 2), 2, 3, layers=2, heads=2, embed=8, hidden=6),
        lambda p, x, key: models.deit(p, x, key=key, rate=0.2, drop_path=0.5),
        floats(4, 6, 2),
        noisy=True,
    ),
    Block(
        "masked_autoencoder",
        MASKED,
        lambda p, x, visible, key: models.masked_autoencoder(p, x, visible),
        lambda rng: (*floats(4, 6, 2)(rng), rng.permutation(6)[:2].astype(np.int32)),
    ),
    paired("clip", models.clip_spec(CLIP), lambda *args: models.clip(*args, CLIP)),
    paired("siglip", models.siglip_spec(SIGLIP), lambda *args: models.siglip(*args, SIGLIP)),
    Block(
        "fcos_head",
        models.fcos_head_spec(4, 3, levels=2, depth=2),
        lambda p, x, y, key: models.fcos_head(p, [x, y], groups=2),
        lambda rng: (*floats(4, 4, 4)(rng), *floats(2, 2, 4)(rng)),
    ),
    Block(
        "mlp_mixer",
        models.mlp_mixer_spec((4, 6, 2), 2, 3, layers=2, embed=8, tokens_hidden=5, hidden=6),
        lambda p, x, key: models.mlp_mixer(p, x, key=key, drop_path=0.5),
        floats(4, 6, 2),
        noisy=True,
    ),
    Block(
        "convnext",
        models.convnext_spec((2, 1), (4, 6), 3, patch=2, channels=2),
        lambda p, x, key: models.convnext(p, x, key=key, drop_path=0.5),
        floats(8, 4, 2),
        noisy=True,
    ),
    Block(
        "autoencoder",
        models.autoencoder_spec((5, 4, 3)),
        lambda p, x, key: models.autoencoder(p, x),
        floats(5),
    ),
    Block(
        "vae",
        models.vae_spec((5, 4, 3)),
        lambda p, x, key: models.vae(p, x, key=key),
        floats(5),
        noisy=True,
    ),
    normalized("dcgan_generator", models.dcgan_generator, models.dcgan_generator_spec(4, (3,), channels=2), 4),
    normalized(
        "dcgan_discriminator",
        models.dcgan_discriminator,
        models.dcgan_discriminator_spec((3, 4), channels=1),
        *(16, 16, 1),
    ),
    normalized("unet", models.unet, models.unet_spec((2, 4), 3, channels=1), 4, 4, 1),
    Block(
        "espcn",
        models.espcn_spec(2, widths=(3, 4), channels=2),
        lambda p, x, key: models.espcn(p, x),
        floats(3, 4, 2),
    ),
    Block(
        "edsr",
        models.edsr_spec(4, blocks=2, width=3, channels=1),
        lambda p, x, key: models.edsr(p, x, residual_scale=0.5),
        floats(2, 3, 1),
    ),
    Block(
        "vgg_features",
        models.vgg_features_spec(((3,), (4,)), channels=2),
        lambda p, x, key: models.vgg_features(p, x, pool=layers.avg_pool),
        floats(4, 4, 2),
    ),
    Block(
        "diffusion_unet",
        models.diffusion_unet_spec((4, 6), blocks=1, channels=2),
        lambda p, x, t, key: models.diffusion_unet(p, x, t, key=key, rate=0.2, groups=2),
        lambda rng: (*floats(4, 4, 2)(rng), *integers(1000)(rng)),
        noisy=True,
    ),
    Block(
        "conformer",
        CONFORMER,
        lambda p, x, n, key: models.conformer(p, x, HEARD, key=key, rate=0.2, lengths=n)[0],
        lambda rng: (*floats(5, 8)(rng), *integers(6)(rng)),
        noisy=True,
    ),
    Block(
        "masked_conv",
        layers.conv_spec(2, 4, (3, 3)),
        lambda p, x, key: models.masked_conv(p, x, "A", 2),
        floats(4, 3, 2),
        causal=True,
    ),
    Block(
        "pixelcnn",
        models.pixelcnn_spec(2, 3, width=2, layers=2, kernel=3),
        lambda p, x, key: models.pixelcnn(p, x),
        floats(4, 3, 2),
        causal=True,
    ),
    Block(
        "tcn",
        models.tcn_spec(2, (3, 3), kernel=2),
        lambda p, x, key: models.tcn(p, x, key=key, rate=0.2),
        floats(6, 2),
        noisy=True,
        causal=True,
    ),
    Block(
        "nbeats",
        models.nbeats_spec(7, 4, stacks=("generic", "trend", "seasonality"), blocks=1, layers=2, width=4, outputs=2),
        lambda p, x, key: models.nbeats(p, x, 4),
        floats(7),
    ),
    Block(
        "nhits",
        models.nhits_spec(8, 6, pools=(4, 1), steps=(3, 1), width=4, outputs=2),
        lambda p, x, key: models.nhits(p, x, 6),
        floats(8),
    ),
    Block(
        "patchtst",
        models.patchtst_spec(8, 3, patch=4, stride=2, layers=1, heads=2, embed=4, hidden=6, outputs=2),
        lambda p, x, key: models.patchtst(p, x, key=key, rate=0.2),
        floats(8),
        noisy=True,
    ),
    Block(
        "deepar",
        models.deepar_spec(2, 4),
        lambda p, before, known, key: models.deepar(p, before, known, key=key, rate=0.2)[0],
        lambda rng: (*floats(5)(rng), *floats(5, 2)(rng)),
        noisy=True,
        causal=True,
        chunk=lambda p, before, known, carry: models.deepar(p, before, known, key=None, carry=carry),
    ),
    Block(
        "wavenet",
        models.wavenet_spec(5, cycles=2, layers=2, width=3, skip=4),
        lambda p, x, key: models.wavenet(p, x),
        integers(5, 7),
        causal=True,
    ),
    normalized(
        "mobilenet_v2",
        lambda *args, key: models.mobilenet_v2(*args, key=key, drop_path=0.5, strides=(1, 2)),
        models.mobilenet_v2_spec(3, stages=((1, 8, 1), (2, 8, 2)), stem=8, last=8, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "efficientnet_lite",
        lambda *args, key: models.efficientnet_lite(*args, key=key, drop_path=0.5, strides=(1, 2)),
        models.efficientnet_lite_spec(3, stages=((3, 1, 8, 1), (5, 2, 8, 2)), stem=8, last=8, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "efficientnet",
        lambda *args, key: models.efficientnet(*args, key=key, drop_path=0.5, strides=(1, 2)),
        models.efficientnet_spec(3, stages=((3, 1, 8, 1), (5, 2, 8, 2)), stem=8, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "mobilenet_v3",
        lambda *args, key: models.mobilenet_v3(*args, key=key, drop_path=0.5, blocks=MOBILE),
        models.mobilenet_v3_spec(3, blocks=MOBILE, stem=8, head=4, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "mobilenet",
        lambda *args, key: models.mobilenet(*args, key=key, rate=0.5, strides=(1, 2)),
        models.mobilenet_spec(3, stages=((4, 1), (8, 2)), stem=4, channels=1),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "efficientnet_v2",
        lambda *args, key: models.efficientnet_v2(*args, key=key, drop_path=0.5, strides=(1, 2, 1)),
        models.efficientnet_v2_spec(
            3, stages=((3, 1, 8, 1), (3, 2, 8, 2), (3, 2, 8, 1)), fused=2, stem=8, last=8, channels=1
        ),
        *(4, 4, 1),
        noisy=True,
    ),
    normalized(
        "xception",
        models.xception,
        models.xception_spec(3, stem=(2, 4), entry=(4,), middle=2, exit=4, last=(4, 4), channels=1),
        *(9, 9, 1),
        noisy=True,
    ),
    normalized(
        "inception_v3",
        models.inception_v3,
        models.inception_v3_spec(3, modules=(CROSSED, HALVING), stem=(2, 2, 2, 2, 2), channels=1),
        *(43, 43, 1),
        noisy=True,
    ),
    normalized(
        "inception_resnet_v2",
        lambda *args, key: models.inception_resnet_v2(*args, key=key, rate=0.5, scales=(0.2,)),
        models.inception_resnet_v2_spec(3, stages=((HALVING, ADDED, 2),), stem=(2, 2, 2, 2, 2), last=8, channels=1),
        *(43, 43, 1),
        noisy=True,
    ),
    classifying("node_classifier_gcn", graphs.gcn, models.node_classifier_spec(3, 4, 2)),
    classifying(
        "node_classifier_gat",
        graphs.gat,
        models.node_classifier_spec(3, 4, 2, layer_spec=graphs.gat_spec, heads=2),
    ),
    classifying(
        "node_classifier_graph_sage",
        graphs.graph_sage,
        models.node_classifier_spec(3, 4, 2, layer_spec=graphs.graph_sage_spec),
    ),
    pooling(
        "graph_classifier",
        models.graph_classifier_spec(3, 4, 2, layers=2),
        lambda p, x, graph: models.graph_classifier(p, graph, key=None),
    ),
    Block(
        "seq2seq_bahdanau",
        models.seq2seq_spec(6, 4, 4, 2),
        lambda p, x, y, key: models.seq2seq(p, x, y),
        lambda rng: (*integers(6, 6)(rng), *integers(4, 3)(rng)),
    ),
    Block(
        "seq2seq_luong",
        LUONG,
        lambda p, x, y, key: models.seq2seq(p, x, y, cell=layers.lstm_cell, step=layers.luong_step),
        lambda rng: (*integers(6, 6)(rng), *integers(4, 3)(rng)),
    ),
    Block("capsnet", CAPSULES, lambda p, x, key: models.capsnet(p, x), floats(5, 5, 1)),
    Block(
        "capsnet_reconstruct",
        DRAWING,
        lambda p, x, label, key: models.capsnet_reconstruct(p, x, label),
        lambda rng: (*floats(3, 4)(rng), *integers(3)(rng)),
    ),
    Block(
        "prototypical_logits",
        {},
        lambda p, x, support, key: models.prototypical_logits(x, of_two(support)),
        lambda rng: (*floats(3, 5)(rng), *floats(4, 5)(rng)),
    ),
    Block(
        "matching_logits",
        {},
        lambda p, x, support, key: models.matching_logits(x, support, of_labels(support), 2, scale=3.0),
        lambda rng: (*floats(3, 5)(rng), *floats(4, 5)(rng)),
    ),
    Block(
        "siamese",
        models.siamese_spec(4),
        lambda p, a, b, key: models.siamese(p, a, b),
        lambda rng: (*floats(4)(rng), *floats(4)(rng)),
    ),
    Block(
        "mamba2_decoder",
        models.mamba2_decoder_spec(11, layers=2, embed=4, heads=4, head=2, states=3, groups=2, tied=False),
        lambda p, tokens, key: models.mamba2_decoder(p, tokens, key=key, rate=0.2),
        integers(11, 6),
        noisy=True,
        causal=True,
        chunk=models.cached_mamba2_decoder,
        begin=lambda p, length, leading: models.mamba2_decoder_cache(p, leading=leading),
    ),
    of_family("decoder_mistral", tied=True, windows=(3,)),
    of_family("decoder_qwen2", kv_heads=1, bias=("q", "k", "v"), rope_scaling=models.YarnScaling(4.0, 4)),
    of_family("decoder_qwen3", kv_heads=1, head=6, qk_norm=True),
    of_family("decoder_olmoe", qk_norm="across", experts=3, windows=(3, None), epsilon=0.1),
    of_family("decoder_qwen2_moe", experts=4, experts_per_token=3, normalized_gates=False, shared_expert=5),
    of_family(
        "decoder_gemma2",
        tied=True,
        zero_centered=True,
        post_norms=True,
        windows=(3, None),
        activation=activations.gelu,
        embed_scale=8**0.5,
        score_scale=0.3,
        score_cap=5.0,
        logit_cap=3.0,
        epsilon=0.1,  # of rows this small the norms would make thousandfold what is rounded
    ),
    *(reading(f"encoder_decoder_{kind}", KINDS[kind]) for kind in KINDS),
    *(translating(f"encoder_decoder_cache_{kind}", KINDS[kind]) for kind in ("bart", "t5")),
]
