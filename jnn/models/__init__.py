"""Models: one architecture a file, made of layers; a `*_spec` beside a function, one storey up."""

from jnn.models.cnn import cnn, cnn_spec
from jnn.models.mlp import mlp, mlp_spec
from jnn.models.perceptron import perceptron, perceptron_fit, perceptron_spec

__all__ = ["cnn", "cnn_spec", "mlp", "mlp_spec", "perceptron", "perceptron_fit", "perceptron_spec"]
