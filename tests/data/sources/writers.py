"""Files as bytes, each written from its format's description and not by jnn."""

import json
import struct

import numpy as np

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
NAMES = {"b1": "BOOL", "u1": "U8", "i2": "I16", "i4": "I32", "i8": "I64", "f2": "F16", "f4": "F32", "f8": "F64"}


def idx(array):
    """An array as an IDX file."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def cifar_records(n):
    """n records of CIFAR-10, and what they say: labels, and pixels indexed [n, channel, row, column]."""
    rng = np.random.default_rng(0)
    labels, planes = rng.integers(0, 10, n).astype(np.uint8), rng.integers(0, 256, (n, 3, 32, 32)).astype(np.uint8)
    return b"".join(bytes([y]) + x.tobytes() for y, x in zip(labels, planes, strict=True)), labels, planes


def wav(samples, channels, rate, bits, code=1, *, extensible=False, before=b""):
    """Samples (bytes) as a WAV file; `before` are chunks between the format and the data."""
    frame = channels * bits // 8
    fmt = struct.pack("<HHIIHH", 0xFFFE if extensible else code, channels, rate, rate * frame, frame, bits)
    if extensible:
        guid = struct.pack("<H", code) + bytes.fromhex("000000001000800000aa00389b71")
        fmt += struct.pack("<HHI", 22, bits, 3) + guid
    body = b"WAVE" + chunk(b"fmt ", fmt) + before + chunk(b"data", samples)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def chunk(tag, content):
    """A RIFF chunk."""
    return tag + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def safetensors(arrays, **entries):
    """Arrays as a safetensors file; `entries` replace or add header entries."""
    header, at = {}, 0
    for name, array in arrays.items():
        offsets = [at, at := at + array.nbytes]
        header[name] = {"dtype": NAMES[array.dtype.str[1:]], "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header | entries).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values())


def gguf(arrays, metadata=(), *, magic=b"GGUF", version=3, counts=None, alignment=32):
    """A GGUF file. arrays: (name, shape, type, bytes) or that and an offset; metadata: (key, type, value as bytes)."""
    head = magic + struct.pack("<IQQ", version, *(counts or (len(arrays), len(metadata))))
    head += b"".join(gguf_text(key) + struct.pack("<I", kind) + value for key, kind, value in metadata)
    data = b""
    for name, shape, kind, content, *offset in arrays:
        data += bytes(-len(data) % alignment)
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape[::-1])
        head += struct.pack("<IQ", kind, *offset or [len(data)])
        data += content
    return head + bytes(-len(head) % alignment if arrays else 0) + data


def gguf_text(text):
    """A text behind its length."""
    content = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(content)) + content


def gguf_list(kind, values):
    """A list of values that are bytes already."""
    return struct.pack("<IQ", kind, len(values)) + b"".join(values)
