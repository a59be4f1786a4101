"""Interop: networks and weights of other libraries, each library by a door of its own.

    jnn.interop.torch.load_state_dict(spec, state_dict, names)      PyTorch: its weights as params
    jnn.interop.torch.state_dict(spec, params, names)               and the way back
    jnn.interop.flax.from_linen(module, x), from_nnx(module)        Flax: a module as (spec, function)
    jnn.interop.equinox.from_equinox(module)                        Equinox
    jnn.interop.haiku.from_haiku(transformed, x)                    Haiku
    jnn.interop.onnx.from_onnx(file)                                ONNX: a file as (spec, function, params)

`Imported` is what these give; by `remember`, `make_step` keeps what a network changes by itself. `to_linen`, `to_nnx`,
`to_equinox` and `to_haiku` of the same doors make a module of theirs of a spec and its function.

What lives here knows how others lay out what they keep. Not here: reading their files (`jnn.data` reads safetensors,
GGUF and archives), and comparing what is computed (`jnn.parity`).
"""

from jnn.interop._imported import Imported, remember

__all__ = ["Imported", "remember"]
