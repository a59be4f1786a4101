"""Heads: what is made of an encoder's hidden states, each with its declaration beside. (One vector: `_pooling`.)

    masked_language_model(p, x, embed, config) -> (..., t, vocab)       logits of each token
    sequence_classifier(p, x, config, key=key) -> (..., classes)        of the first token
    token_classifier(p, x, key=key) -> (..., t, classes)                of each

They take the encoder's own params nowhere but to read logits out of the table that embeds. So a model is
`{"encoder": encoder_spec(config), "head": token_classifier_spec(config, 9)}`, and the names that
`encoder_from_hf(fields, head="token_classifier")` gives are those of its paths.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from jnn import checks
from jnn.axes import constrain, gather
from jnn.initializers import normal, zeros
from jnn.layers import dropout, layer_norm, layer_norm_spec, linear, linear_spec, unembed
from jnn.models.encoders._config import EncoderConfig
from jnn.models.encoders._pooling import pooler, pooler_spec
from jnn.param import Param, Params, Spec, check_key
from jnn.precision import add_bias


def masked_language_model_spec(config: EncoderConfig, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a head for masked language models: {"dense", "norm", "b": (vocab,)}.

    >>> config = EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4)
    >>> masked_language_model_spec(config)["b"].shape
    (9,)
    """
    return {
        "dense": pooler_spec(config, dtype=dtype),
        "norm": layer_norm_spec(config.embed, dtype=dtype),
        "b": Param((config.vocab,), zeros, ("vocab",), dtype),
    }


def masked_language_model(p: Params, x: jax.Array, embed: Params, config: EncoderConfig) -> jax.Array:
    """Masked language model: logits of each token, from the weights that embed them.

    See "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", Devlin et al., 2019.

    Args:
      p: as `masked_language_model_spec` declares.
      x: (..., t, embed), floating point: what the encoder gave.
      embed: the encoder's "embed".
      config: what they were declared by.

    Returns:
      (..., t, vocab) logits, in x's dtype.

    Raises:
      TypeError, ValueError: as `linear`.

    >>> from jnn.models import encoder, encoder_spec
    >>> from jnn.param import abstract
    >>> config = EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4)
    >>> spec = {"encoder": encoder_spec(config), "head": masked_language_model_spec(config)}
    >>> def logits(p, tokens):
    ...     x = encoder(p["encoder"], tokens, config, key=None)
    ...     return masked_language_model(p["head"], x, p["encoder"]["embed"], config)
    >>> jax.eval_shape(logits, abstract(spec), jnp.array([3, 1, 4])).shape
    (3, 9)
    """
    checks.params("masked_language_model", p, "dense", "norm", may=("b",))
    h = config.activation(linear(p["dense"], x))
    h = layer_norm(p["norm"], h, epsilon=config.epsilon)
    logits = unembed(gather(embed, "embed"), h)
    return constrain(add_bias(logits, p["b"]) if "b" in p else logits, "time", "vocab")


def sequence_classifier_spec(config: EncoderConfig, classes: int, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a classifier of sequences: {"pooler", "out"}.

    >>> config = EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4)
    >>> sequence_classifier_spec(config, 3)["out"]["w"].shape
    (8, 3)
    """
    return {"pooler": pooler_spec(config, dtype=dtype), "out": token_classifier_spec(config, classes, dtype=dtype)}


def sequence_classifier(
    p: Params, x: jax.Array, config: EncoderConfig, *, key: jax.Array | None, rate: float = 0.0
) -> jax.Array:
    """Sequence classifier: logits of a row, from what is pooled of its first token.

    Args:
      p: as `sequence_classifier_spec` declares.
      x: (..., t, embed), floating point: what the encoder gave.
      config: what they were declared by.
      key: noise for dropout, None for none.
      rate: of dropout, on what is pooled.

    Returns:
      (..., classes), in x's dtype.

    Raises:
      TypeError, ValueError: as `linear`.

    >>> from jnn.param import init
    >>> config = EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4)
    >>> p = init(sequence_classifier_spec(config, 3), jax.random.key(0))
    >>> sequence_classifier(p, jnp.ones((5, 4, 8)), config, key=None).shape
    (5, 3)
    """
    checks.params("sequence_classifier", p, "pooler", "out")
    check_key("sequence_classifier", key, optional=True)
    return linear(p["out"], dropout(pooler(p["pooler"], x, config), rate, key=key))


def token_classifier_spec(config: EncoderConfig, classes: int, *, dtype: DTypeLike = jnp.float32) -> Spec:
    """Declares a classifier of tokens: {"w": (embed, classes), "b": (classes,)}.

    >>> config = EncoderConfig(vocab=9, layers=1, heads=2, embed=8, hidden=8, context=4)
    >>> token_classifier_spec(config, 3)["w"].shape
    (8, 3)
    """
    return linear_spec(config.embed, classes, axes=("embed", "classes"), init=normal(0.02), dtype=dtype)


def token_classifier(p: Params, x: jax.Array, *, key: jax.Array | None, rate: float = 0.0) -> jax.Array:
    """Token classifier: logits of each token, such as of names in a text; (..., t, embed) -> (..., t, classes).

    Args:
      p: as `token_classifier_spec` declares.
      x: (..., t, embed), floating point: what the encoder gave.
      key: noise for dropout, None for none.
      rate: of dropout, on x.

    Returns:
      (..., t, classes), in x's dtype.

    Raises:
      TypeError, ValueError: as `linear`.

    >>> token_classifier({"w": jnp.ones((8, 3))}, jnp.ones((5, 4, 8)), key=None).shape
    (5, 4, 3)
    """
    check_key("token_classifier", key, optional=True)
    return linear(p, dropout(x, rate, key=key))
