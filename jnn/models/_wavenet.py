"""WaveNet: samples of a waveform, each from those before it, by gated causal convolutions of growing dilation.

A cycle of layers is dilated by 1, 2, 4, ...; cycles are stacked and scanned, so that compile time does not grow with
their number. Laws: logits at t depend on samples up to t alone.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import lecun_normal
from jnn.layers import conv, conv_spec, embed, embed_spec, linear, linear_spec, weight_shape
from jnn.param import Params, Spec, stack


def wavenet_spec(
    values: int = 256,
    *,
    cycles: int = 3,
    layers: int = 10,
    width: int = 64,
    skip: int = 256,
    kernel: int = 2,
    dtype: DTypeLike = jnp.float32,
) -> Spec:
    """Declares a WaveNet.

    Args:
      values: how many values a sample can have.
      cycles: how often the dilations begin again.
      layers: of each cycle; layer i is dilated by 2 ** (i - 1).
      width: of the residual stream.
      skip: of what is summed over all layers and read out.
      kernel: of the convolutions.
      dtype: of all.

    Returns:
      {"embed", "cycles": {"layer1": {"filter", "gate", "residual", "skip"}, ...} (stacked), "head", "out"}

    >>> wavenet_spec()["cycles"]["layer1"]["filter"]["w"].shape
    (3, 2, 64, 64)
    """
    axes = ("channels_in", "channels_out")
    maps = lambda a, b: linear_spec(a, b, axes=axes, dtype=dtype)
    dilated = conv_spec(width, width, (kernel,), init=lecun_normal, dtype=dtype)
    layer = {"filter": dilated, "gate": dilated, "residual": maps(width, width), "skip": maps(width, skip)}
    return {
        "embed": embed_spec(values, width, dtype=dtype),
        "cycles": stack({f"layer{i + 1}": layer for i in range(layers)}, cycles),
        "head": maps(skip, skip),
        "out": linear_spec(skip, values, axes=("channels_in", "vocab"), dtype=dtype),
    }


def wavenet(p: Params, samples: jax.Array) -> jax.Array:
    """WaveNet: logits of the sample after each sample.

    See "WaveNet: A Generative Model for Raw Audio", van den Oord et al., 2016.

    Args:
      p: as `wavenet_spec` declares.
      samples: (..., t), integers in 0..values-1, of a mu-law say.

    Returns:
      (..., t, values), in the parameters' dtype.

    Raises:
      TypeError: samples are not integers.
      ValueError: samples are out of range or empty.

    >>> from jnn.param import abstract
    >>> jax.eval_shape(wavenet, abstract(wavenet_spec()), jax.ShapeDtypeStruct((2, 4000), jnp.int32)).shape
    (2, 4000, 256)
    """
    checks.params("wavenet", p, "embed", "cycles", "head", "out")
    checks.integers("wavenet", samples, ndim=1, name="samples")
    ends = gather({name: p[name] for name in p if name != "cycles"})
    x = embed(ends["embed"], samples)

    def cycle(carry: tuple[jax.Array, jax.Array], p: Params) -> tuple[tuple[jax.Array, jax.Array], None]:
        x, total = carry
        p = gather(p, "cycles")
        for i in range(len(p)):
            x, out = _layer(p[f"layer{i + 1}"], x, 2**i)
            total = total + out
        return (constrain(x, "time", "channels"), constrain(total, "time", "channels")), None

    none = jnp.zeros((*x.shape[:-1], weight_shape(ends["head"]["w"])[0]), x.dtype)
    (_, total), _ = jax.lax.scan(cycle, (x, none), p["cycles"])
    h = linear(ends["head"], jax.nn.relu(total))
    return linear(ends["out"], jax.nn.relu(h))


def _layer(p: Params, x: jax.Array, dilation: int) -> tuple[jax.Array, jax.Array]:
    """The stream behind a gated convolution, and what of it is read out."""
    causal = lambda p: conv(p, x, padding="CAUSAL", dilation=dilation)
    h = jnp.tanh(causal(p["filter"])) * jax.nn.sigmoid(causal(p["gate"]))
    return x + linear(p["residual"], h), linear(p["skip"], h)
