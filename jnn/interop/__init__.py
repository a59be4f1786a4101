"""Interop: weights of other libraries as the parameters of a spec, each library by a door of its own.

    jnn.interop.torch.load_state_dict(spec, state_dict, names)      PyTorch
    jnn.interop.torch.state_dict(spec, params, names)               and the way back

What lives here knows how others lay out what they keep. Not here: reading their files (`jnn.data` reads safetensors,
GGUF and archives), and comparing what is computed (`jnn.parity`).
"""
