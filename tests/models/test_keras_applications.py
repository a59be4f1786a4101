"""Networks of images against Keras's applications: the same weights, logits and numbers of parameters."""

import os
from itertools import chain

import jax
import numpy as np
import pytest

import jnn
from jnn.models import (
    EFFICIENTNETS_V2,
    batch_stats_spec,
    efficientnet_v2,
    efficientnet_v2_spec,
    inception_resnet_v2,
    inception_resnet_v2_spec,
    inception_v3,
    inception_v3_spec,
    mobilenet,
    mobilenet_spec,
    xception,
    xception_spec,
)
from tests.models.images import images

ORDER = ("expand", "depthwise", "squeeze", "project", "pointwise")  # of a block's parts
NETWORKS = {  # Keras's name, its arguments; our model, its spec; the image's size
    "mobilenet": ("MobileNet", {"dropout": 0.0}, mobilenet, mobilenet_spec(7), 64),
    "mobilenet_half": ("MobileNet", {"alpha": 0.5}, mobilenet, mobilenet_spec(7, multiplier=0.5), 32),
    "inception_v3": ("InceptionV3", {}, inception_v3, inception_v3_spec(7), 107),
    "inception_resnet_v2": ("InceptionResNetV2", {}, inception_resnet_v2, inception_resnet_v2_spec(7), 107),
    "xception": ("Xception", {}, xception, xception_spec(7), 71),
} | {
    name: (
        f"EfficientNetV2{name.split('_')[-1].upper()}",
        {"include_preprocessing": False},
        efficientnet_v2,
        efficientnet_v2_spec(7, **sizes),
        64,
    )
    for name, sizes in EFFICIENTNETS_V2.items()
}

OF_A_NEIGHBOUR = {"efficientnet_v2_b1", "efficientnet_v2_b2", "efficientnet_v2_m", "efficientnet_v2_l"}  # its code


@pytest.fixture(scope="module")
def keras():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    with jax.numpy_rank_promotion("allow"):
        yield keras


def made(keras, name, size, more):
    """An application, and its layers with weights in the order in which they were made."""
    layers, init = [], keras.layers.Layer.__init__

    def noted(self, *args, **kwargs):
        layers.append(self)
        init(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.layers.Layer, "__init__", noted)
        application = getattr(keras.applications, name)
        model = application(weights=None, classes=7, classifier_activation=None, input_shape=(size, size, 3), **more)
    return model, [layer for layer in layers if layer.weights and layer is not model]


def shake(layers):
    """Moves statistics, scales and offsets from where they begin; kernels keep maps as large as they were.

    Where residual blocks add as much as there was, a gate behind many of them makes much of float32's rounding.
    """
    rng = np.random.default_rng(0)
    begin = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": 1.0, "bias": 0.0}
    for layer in layers:
        last, first = "project" in layer.name, layer.name.split("_")[0].endswith("a")
        gain = (0.7 if first else 0.3) if last else 1.0
        for weight in layer.weights:
            if weight.name in begin:
                weight.assign(begin[weight.name] + rng.uniform(-0.3, 0.3, weight.shape))
            else:
                *size, c_in, c_out = weight.shape
                fan = np.prod(size) * (1 if c_out == 1 else c_in)  # of a depthwise kernel: (y, x, c, 1)
                weight.assign(rng.normal(0, gain * np.sqrt(2 / fan), weight.shape))


def maps_and_norms(keras, layers):
    """Iterators over {"w", "b"} of maps, and over {"scale", "bias", "mean", "var"} of norms."""
    is_norm = lambda layer: isinstance(layer, keras.layers.BatchNormalization)
    norms = (
        {
            "scale": np.ones(layer.beta.shape) if layer.gamma is None else np.asarray(layer.gamma),
            "bias": np.asarray(layer.beta),
            "mean": np.asarray(layer.moving_mean),
            "var": np.asarray(layer.moving_variance),
        }
        for layer in layers
        if is_norm(layer)
    )
    maps = chain.from_iterable(arrays_of(layer) for layer in layers if not is_norm(layer))
    return maps, norms


def arrays_of(layer):
    """{"w", "b"} of each map in a layer, of which a separable convolution has two."""
    bias = [] if getattr(layer, "bias", None) is None else [np.asarray(layer.bias)]
    *first, last = [np.asarray(w) for w in layer.weights[: len(layer.weights) - len(bias)]]
    return [*({"w": w} for w in first), {"w": last, **({"b": bias[0]} if bias else {})}]


def filled(spec, maps, norms, stacked=0):
    """The spec's tree, with the next arrays of Keras at each map and norm; a stack's layers one after the other."""
    if "w" in spec:
        return next(maps)
    if "scale" in spec:
        return next(norms)
    leaves = jax.tree.leaves(spec)
    if not stacked and all(leaf.stacked for leaf in leaves):
        layers = [filled(spec, maps, norms, 1) for _ in range(leaves[0].shape[0])]
        return jax.tree.map(lambda *parts: np.stack(parts), *layers)
    names = sorted(spec, key=lambda name: ORDER.index(name) if name in ORDER else -1)
    return {name: filled(spec[name], maps, norms, stacked) for name in names}


def like(spec, arrays):
    """Those of the arrays that the spec has, in its shapes: Keras's depthwise kernels are (y, x, c, 1)."""
    if isinstance(spec, dict):
        return {name: like(part, arrays[name]) for name, part in spec.items()}
    return np.reshape(arrays, spec.shape).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(NETWORKS.keys() - OF_A_NEIGHBOUR))
def test_keras_weights_give_kerass_logits(keras, name):
    theirs, more, network, spec, size = NETWORKS[name]
    model, layers = made(keras, theirs, size, more)
    shake(layers)
    maps, norms = maps_and_norms(keras, layers)
    arrays = filled(spec, maps, norms)
    assert [*maps, *norms] == []
    p, stats, x = like(spec, arrays), like(batch_stats_spec(spec), arrays), images(2, size, size, 3)
    ours, _ = jax.jit(lambda p, x, stats: network(p, x, stats, key=None))(p, x, stats)
    expected = np.asarray(model(x, training=False))
    assert np.ptp(expected, 0).max() > 0.01 * np.abs(expected).max(), "images make no difference"
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_there_are_as_many_parameters_as_keras_trains(keras, name):
    """And the scales of the norms to which Keras gives none."""
    theirs, more, _, spec, size = NETWORKS[name]
    model, layers = made(keras, theirs, size, more)
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    without = sum(layer.beta.shape[0] for layer in layers if getattr(layer, "gamma", 0) is None)
    assert jnn.count_params(spec) == trained + without
