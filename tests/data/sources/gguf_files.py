"""GGUF's files byte by byte and its blocks bit by bit, as ggml's description has them, in plain Python."""

import struct

import numpy as np

from tests.data.sources.writers import gguf, gguf_list, gguf_text

SIZES = {
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
}
NAMES = {2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K"}


def half(block, at):
    return struct.unpack_from("<e", block, at)[0]


def nibble(block, at, i, width):
    """Number i of those whose low halves come first in groups of `width` bytes."""
    group, within = divmod(i, 2 * width)
    high, byte = divmod(within, width)
    return block[at + group * width + byte] >> 4 * high & 15


def bit(block, at, i):
    return block[at + i // 8] >> i % 8 & 1


def six_bits(s, part):
    """The factor and the offset of one of eight parts."""
    if part < 4:
        return s[part] & 63, s[part + 4] & 63
    return s[part + 4] & 15 | s[part - 4] >> 6 << 4, s[part + 4] >> 4 | s[part] >> 6 << 4


def number(kind, block, i):
    """Number i of a block: (exact products and their sum)."""
    if kind == 8:
        return half(block, 0) * struct.unpack_from("b", block, 2 + i)[0]
    if kind in (2, 6):
        upper = bit(block, 2, i) << 4 if kind == 6 else 0
        at, zero = (6, 16) if kind == 6 else (2, 8)
        return half(block, 0) * ((nibble(block, at, i, 16) | upper) - zero)
    if kind in (3, 7):
        upper = bit(block, 4, i) << 4 if kind == 7 else 0
        return half(block, 0) * (nibble(block, 8 if kind == 7 else 4, i, 16) | upper) + half(block, 2)
    if kind in (12, 13):
        factor, offset = six_bits(block[4:16], i // 32)
        upper = (block[16 + i % 32] >> i // 32 & 1) << 4 if kind == 13 else 0
        q = nibble(block, 48 if kind == 13 else 16, i, 32) | upper
        return half(block, 0) * factor * q - half(block, 2) * offset
    side, within = divmod(i, 128)
    upper = block[128 + 32 * side + within % 32] >> 2 * (within // 32) & 3
    q = (nibble(block, 64 * side, within, 64) | upper << 4) - 32
    return half(block, 208) * struct.unpack_from("b", block, 192 + i // 16)[0] * q


def numbers(kind, content):
    """All numbers of so many blocks, exact in double precision."""
    size, length = SIZES[kind]
    blocks = [content[at : at + length] for at in range(0, len(content), length)]
    return [number(kind, block, i) for block in blocks for i in range(size)]


CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
PLAIN = {0: "<f4", 1: "<f2", 24: "i1", 25: "<i2", 26: "<i4", 27: "<i8", 28: "<f8"}


def said(data):
    """What a whole file says: its metadata, and of each array (shape, type, offset in the file)."""
    at = 8

    def one(code):
        nonlocal at
        at += struct.calcsize(f"<{code}")
        return struct.unpack_from(f"<{code}", data, at - struct.calcsize(f"<{code}"))[0]

    def value(kind):
        if kind == 8:
            return one(f"{one('Q')}s").decode()
        if kind == 9:
            inner = one("I")
            return [value(inner) for _ in range(one("Q"))]
        return one(CODES[kind])

    count, keys = one("Q"), one("Q")
    metadata = {value(8): value(one("I")) for _ in range(keys)}
    entries = {value(8): (tuple(one("Q") for _ in range(one("I")))[::-1], one("I"), one("Q")) for _ in range(count)}
    alignment = metadata.get("general.alignment", 32)
    start = (at + alignment - 1) // alignment * alignment
    return metadata, {name: (shape, kind, start + begin) for name, (shape, kind, begin) in entries.items()}


def gguf_is_right(data, found):
    metadata, entries = said(data)
    return repr(metadata) == repr(found[0]) and all(
        array_is_right(data, *entries[name], found[1].pop(name)) for name in entries
    )


def array_is_right(data, shape, kind, begin, found):
    count, found = int(np.prod(shape, dtype=object)), np.asarray(found)
    if kind == 30:  # the upper half of float32
        exact = (np.frombuffer(data, "<u2", count, begin).astype(np.uint32) << 16).view(np.float32)
    elif kind in PLAIN:
        exact = np.frombuffer(data, PLAIN[kind], count, begin)
    else:
        size, length = SIZES[kind]
        exact = np.array(numbers(kind, data[begin : begin + count // size * length]))
        near = 1e-5 * np.abs(exact[np.isfinite(exact)]).max(initial=0)
        return found.shape == shape and np.allclose(found.ravel(), exact, atol=near, equal_nan=True)
    return found.shape == shape and found.astype(exact.dtype).tobytes() == exact.tobytes()


RNG = np.random.default_rng(0)
KEYS = [
    ("general.alignment", 4, struct.pack("<I", 16)),
    ("tokens", 9, gguf_list(8, [gguf_text("é"), gguf_text("b")])),
    ("lists", 9, gguf_list(9, [gguf_list(6, [struct.pack("<f", 0.5)]), gguf_list(7, [b"\0", b"\1"])])),
]
GOOD = (
    gguf(
        [("a", (3, 2), 0, RNG.normal(size=6).astype("<f4").tobytes()), ("b", (5,), 25, bytes(10))], KEYS, alignment=16
    ),
    gguf([("x", (1, 32), 3, RNG.bytes(20)), ("y", (2,), 30, RNG.bytes(4))]),
)
