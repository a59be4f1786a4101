"""Models: one architecture a file, made of layers; a `*_spec` beside a function, one storey up."""

from jnn.models._arrange import Arrange, Branch, Norm, parallel, post_norm, pre_norm
from jnn.models._cnn import cnn, cnn_spec
from jnn.models._generate import cached_transformer, generate, transformer_cache
from jnn.models._mlp import mlp, mlp_spec
from jnn.models._perceptron import perceptron, perceptron_fit, perceptron_spec
from jnn.models._recurrent import last_state, mean_state, recurrent_classifier, recurrent_classifier_spec
from jnn.models._transformer import transformer, transformer_spec
from jnn.models._transformer_block import cached_block, transformer_block, transformer_block_spec

__all__ = [
    "Arrange",
    "Branch",
    "Norm",
    "cached_block",
    "cached_transformer",
    "cnn",
    "cnn_spec",
    "generate",
    "last_state",
    "mean_state",
    "mlp",
    "mlp_spec",
    "parallel",
    "perceptron",
    "perceptron_fit",
    "perceptron_spec",
    "post_norm",
    "pre_norm",
    "recurrent_classifier",
    "recurrent_classifier_spec",
    "transformer",
    "transformer_block",
    "transformer_block_spec",
    "transformer_cache",
    "transformer_spec",
]
