"""Models that leave: as StableHLO, as a torch module of readable source, as ONNX or LiteRT; and a card beside them.

    stablehlo(f, p, x, path=...)     one file that JAX alone reads, for batches of any size
    torch(f, p, x, path=...)         source of a `torch.nn.Module`, and its weights
    onnx(f, p, x, path=...)          for ONNX Runtime, by jax2onnx, in an environment of its own
    litert(f, p, x, path=...)        for LiteRT, by litert-converter, in another
    model_card(path, p, ...)         the hash of the weights, versions, metrics and the command, as Markdown

Laws: what leaves gives what jnn gives, to 1e-4, at every batch size; what cannot leave is one error that names the
primitive and the line. What does not live here: source of JAX (`jnn.eject`), and weights alone (`jnn.interop`,
`jnn.data.write_safetensors`).
"""

from jnn.export._litert import litert
from jnn.export._model_card import model_card
from jnn.export._onnx import onnx
from jnn.export._stablehlo import stablehlo
from jnn.export._torch import torch

__all__ = ["litert", "model_card", "onnx", "stablehlo", "torch"]
