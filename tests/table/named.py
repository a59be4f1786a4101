"""Blocks that the field has a name for: capsules, spikes, codebooks, flows, splines, sets, circuits."""

from __future__ import annotations

from functools import partial

import jax

from jnn import layers
from jnn.laws import Block
from tests.table.layers import recurring
from tests.table.rows import floats


def plain(name, spec, layer, *shape, **options):
    """A function of parameters and one array."""
    return Block(name, spec, lambda p, x, key: layer(p, x, **options), floats(*shape))


def quantized(p, x, key):
    """All of a `Quantized`; its losses are float32 whatever x is, which law 7 does not ask of an answer."""
    found = layers.vector_quantize(p, x)
    return found.values, found.ids, (found.commitment + found.codebook).astype(x.dtype)


def flowing(layer):
    """A flow; log_det is float32 at least, law 7 is about the answer."""
    return lambda p, x: jax.tree.map(lambda out: out.astype(x.dtype), layer(p, x))


def of_amplitudes(p, x):
    """A circuit whose first state is its input; what is measured of it has the precision of the state."""
    return layers.z_expectations(layers.entangling_layers(p, layers.amplitude_embedding(x))).astype(x.dtype)


BLOCKS = [
    plain("capsules", layers.capsules_spec(4, 3, 2, 5), layers.capsules, 4, 3),
    recurring("lif", layers.lif_cell_spec(3, 4), partial(layers.lif_cell, threshold=0.3, slope=1.0)),
    recurring("recurrent_lif", layers.recurrent_lif_cell_spec(3, 4), partial(layers.recurrent_lif_cell, slope=1.0)),
    recurring("leaky_integrator", layers.lif_cell_spec(3, 4), layers.leaky_integrator),
    plain("fourier_features", layers.fourier_features_spec(2, 3, scale=0.3), layers.fourier_features, 2),
    Block("nerf_encoding", {}, lambda p, x, key: layers.nerf_encoding(x, frequencies=2), floats(3)),
    plain("siren", layers.siren_spec(3, 4, frequency=2.0), layers.siren, 3, frequency=2.0),
    Block("vector_quantize", layers.vector_quantize_spec(5, 3), quantized, floats(3)),
    Block(
        "gumbel_vector_quantize",
        layers.gumbel_vector_quantize_spec(3, 5, 2),
        lambda p, x, key: layers.gumbel_vector_quantize(p, x, temperature=1.0, key=key),
        floats(3),
        noisy=True,
    ),
    Block("finite_scalar_quantize", {}, lambda p, x, key: layers.finite_scalar_quantize(x, (3, 4)), floats(2)),
    plain("affine_coupling", layers.affine_coupling_spec(5, 4), flowing(layers.affine_coupling), 5),
    plain("autoregressive_flow", layers.autoregressive_flow_spec(3, 4), flowing(layers.autoregressive_flow), 3),
    plain("kan", layers.kan_spec(3, 2), layers.kan, 3, domain=(-3, 3)),
    Block(
        "hopfield",
        layers.hopfield_spec(3, 2, 4),
        lambda p, x, memory, key: layers.hopfield(p, x, memory, steps=2),
        lambda rng: floats(3, 3)(rng) + floats(4, 2)(rng),
    ),
    plain("deep_sets", layers.deep_sets_spec(3, 4, 2), layers.deep_sets, 4, 3),
    plain(
        "induced_set_attention_block",
        layers.induced_set_attention_block_spec(4, 2, 3),
        layers.induced_set_attention_block,
        3,
        4,
    ),
    plain("pooling_by_attention", layers.pooling_by_attention_spec(4, 2, 2), layers.pooling_by_attention, 3, 4),
    Block(
        "hyper_linear",
        layers.hyper_linear_spec(3, 4, 2),
        lambda p, x, code, key: layers.hyper_linear(p, x, code),
        lambda rng: floats(4, 3)(rng) + floats(2)(rng),
    ),
    plain("quantum_circuit", layers.quantum_circuit_spec(3, 2), layers.quantum_circuit, 3),
    plain("data_reuploading", layers.data_reuploading_spec(2, 2), layers.data_reuploading, 5),
    plain("amplitude_embedding", layers.quantum_circuit_spec(2, 1), of_amplitudes, 3),
    plain("highway", layers.highway_spec(4), layers.highway, 4),
]
