"""The workloads in Keras 3 on JAX: its functional models, trained by `stateless_call` and `stateless_apply` in one
jitted step whose state is donated: the faster of the loops that its documentation offers.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import keras
from keras import layers

from experiments.benchmarks import problems
from experiments.benchmarks.frameworks.optimizers import mean_loss
from experiments.benchmarks.measure import Built, training_step

OPTIMIZERS = {
    "adam": lambda: keras.optimizers.Adam(problems.LEARNING_RATE),
    "momentum": lambda: keras.optimizers.SGD(problems.SGD_RATE, problems.MOMENTUM),
}


def build(workload: str) -> Built:
    """Trains a network on the workload's batch."""
    problem, batch = problems.PROBLEMS[workload], jax.tree.map(jnp.asarray, problems.batch(workload))
    x = keras.Input(problem.shape[1:])
    model, optimizer = keras.Model(x, NETWORKS[workload](x)), OPTIMIZERS[problem.optimizer]()
    optimizer.build(model.trainable_variables)

    def loss(params, rest, batch):
        outputs, rest = model.stateless_call(params, rest, batch["x"], training=True)
        return mean_loss(outputs, batch["y"]), rest

    @partial(jax.jit, donate_argnums=0)
    def update(state, batch):
        params, rest, opt_state = state
        (value, rest), grads = jax.value_and_grad(loss, has_aux=True)(params, rest, batch)
        params, opt_state = optimizer.stateless_apply(opt_state, grads, params)
        return (params, rest, opt_state), value

    owners = (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    state = tuple([variable.value for variable in variables] for variables in owners)
    count = sum(a.size for a in state[0])
    return Built(training_step(update, state, batch), float, count)


def mlp(x):
    h = layers.Dropout(problems.MLP_DROPOUT)(layers.Dense(128, "relu")(x))
    return layers.Dense(problems.CLASSES)(layers.Dense(64, "relu")(h))


def cnn(x):
    for channels in (32, 64):
        x = layers.MaxPooling2D()(layers.Conv2D(channels, 3, padding="same", activation="relu")(x))
    h = layers.Dropout(problems.CNN_DROPOUT)(layers.Dense(512, "relu")(layers.Flatten()(x)))
    return layers.Dense(problems.CLASSES)(h)


def lstm(x):
    return layers.Dense(problems.CLASSES)(layers.LSTM(problems.LSTM_HIDDEN)(x))


def tiny(x):
    for _ in range(problems.TINY_LAYERS):
        x = layers.ReLU()(layers.LayerNormalization()(layers.Dense(problems.TINY_WIDTH)(x)))
    return layers.Dense(problems.CLASSES)(x)


def mobilenet(x):
    size, c = problems.MOBILENET, problems.MOBILENET.stem
    norm = partial(layers.BatchNormalization, momentum=problems.STATISTICS_MOMENTUM)
    relu6 = lambda h: layers.ReLU(max_value=6)(norm()(h))
    one = partial(layers.Conv2D, kernel_size=1, use_bias=False)
    x = relu6(layers.Conv2D(c, 3, padding="same", use_bias=False)(x))
    for width, stride in zip(size.widths, size.strides, strict=True):
        h = relu6(one(size.widen * c)(x))
        h = relu6(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(h))
        h = norm()(one(width)(h))
        x, c = layers.Add()([x, h]) if stride == 1 and c == width else h, width
    return layers.Dense(problems.CLASSES)(layers.GlobalAveragePooling2D()(relu6(one(size.last)(x))))


NETWORKS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "tiny": tiny, "mobilenet": mobilenet}
