"""The readers as the fuzz sees them: good files, and an oracle for whatever they answer to a mutated one."""

import collections
import contextlib
import csv
import dataclasses
import fractions
import gzip
import io
import json
import re
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any
from xml.dom import minidom

import numpy as np
from PIL import Image, ImageOps

from jnn.data import (
    ImageFolder,
    read_boxes,
    read_cifar,
    read_csv,
    read_gguf,
    read_idx,
    read_jsonl,
    read_musicxml,
    read_npy,
    read_npz,
    read_pairs,
    read_pronunciations,
    read_safetensors,
    read_tagged_words,
    read_tiff,
    read_wav,
    unpack,
)
from tests.data.sources.gguf_files import GOOD, gguf_is_right
from tests.data.sources.scores import attributes, note, packed, score
from tests.data.sources.writers import chunk, cifar_records, idx, safetensors, wav


@dataclasses.dataclass(frozen=True)
class Reader:
    """One row of the table.

    file: the name that its errors begin with.
    good: files that it reads.
    read: `(path) -> answer`.
    right: `(bytes, answer) -> bool`: whether the answer is what those bytes say, by somebody else's eyes.
    """

    name: str
    file: str
    good: tuple[bytes, ...]
    read: Callable[[Any], Any]
    right: Callable[[bytes, Any], bool]


def idx_is_right(data, found):
    return idx(found) == (gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data)


def cifar_is_right(data, found):
    pairs = zip(found["y"], found["x"].transpose(0, 3, 1, 2), strict=True)
    return b"".join(bytes([y]) + x.tobytes() for y, x in pairs) == data


def wav_is_right(data, found):
    """Sample by sample, in plain Python."""
    chunks, at = [], 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    fmt, samples = (next(content for found, content in chunks if found == tag) for tag in (b"fmt ", b"data"))
    code, channels, rate, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    pieces = [samples[i : i + bits // 8] for i in range(0, len(samples), bits // 8)]
    if code == 3 or (code == 0xFFFE and fmt[24] == 3):
        values = [struct.unpack("<f" if bits == 32 else "<d", piece)[0] for piece in pieces]
    else:
        whole = [int.from_bytes(piece, "little", signed=bits > 8) for piece in pieces]
        values = [(n - 128 if bits == 8 else n) / 2 ** (bits - 1) for n in whole]
    return rate == found[1] and np.array_equal(np.array(values, np.float32).reshape(-1, channels), found[0])


def jsonl_is_right(data, found):
    lines = [json.loads(line.decode("utf-8-sig")) for line in data.split(b"\n") if line.strip()]
    return [(line["text"], line["label"]) for line in lines] == [(r["text"], r["label"]) for r in found]


def pronunciations_are_right(data, found):
    """Each word as often as lines begin with it, its phonemes as they stand."""
    said = [line.split(" #")[0].split() for line in data.decode("utf-8-sig").split("\n")]
    said = [parts for parts in said if parts and not parts[0].startswith(";;;")]
    wanted = sorted((re.sub(r"(?<=.)\(\d+\)$", "", word), tuple(phonemes)) for word, *phonemes in said)
    return wanted == sorted((word, way) for word in found for way in found[word])


def pairs_are_right(data, found):
    lines = [line.rstrip("\r") for line in data.decode("utf-8-sig").split("\n") if line.strip()]
    return [tuple(text.strip() for text in line.split("\t")) for line in lines] == list(zip(*found, strict=True))


def tagged_are_right(data, found):
    """By the document's other reader in the standard library."""
    rows = [node for node in minidom.parseString(data).documentElement.childNodes if node.nodeType == node.ELEMENT_NODE]
    words = [[word for word in row.childNodes if word.nodeType == word.ELEMENT_NODE] for row in rows]
    text = lambda word: "".join(part.data for part in word.childNodes if part.nodeType != part.COMMENT_NODE).strip()
    return [([text(word) for word in row], [word.tagName for word in row]) for row in words] == found


def score_is_right(data, found):
    """How long each pitch sounds in each part, in all, by the document's other reader in the standard library."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            container = minidom.parseString(archive.read("META-INF/container.xml"))
            data = archive.read(container.getElementsByTagName("rootfile")[0].getAttribute("full-path"))
    parts = [dict(sounding(part)) for part in children(minidom.parseString(data).documentElement, "part")]
    ours = [collections.Counter() for _ in found]
    for part, own in zip(found, ours, strict=True):
        for _, duration, pitch, _ in part.notes:
            own[pitch] += duration
    return parts == [dict(own) for own in ours]


def children(node, *tags):
    return [child for child in node.childNodes if child.nodeName in tags]


def sounding(part):
    """How long each pitch does."""
    text = lambda node, tag: "".join(child.data for child in children(children(node, tag)[0], "#text")).strip()
    found, divisions = collections.Counter(), 1
    for element in (e for measure in children(part, "measure") for e in children(measure, "attributes", "note")):
        if children(element, "divisions"):
            divisions = fractions.Fraction(text(element, "divisions"))
        for pitch in children(element, "pitch")[:1] if not children(element, "grace") else ():
            alter = int(float(text(pitch, "alter"))) if children(pitch, "alter") else 0
            place = 12 * (int(float(text(pitch, "octave"))) + 1) + "C D EF G A B".index(text(pitch, "step")) + alter
            found[place] += fractions.Fraction(text(element, "duration")) / divisions
    return found


def csv_is_right(data, found):
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    parse = lambda r: (int(r["age"]), float(r["height"]), ("no", "yes").index(r["smoker"]), r["name"])
    return [parse(row) for row in rows] == list(zip(*(found[name] for name in COLUMNS), strict=True))


def boxes_are_right(data, found):
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    corners = lambda row: [int(row[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
    return {name: boxes.tolist() for name, boxes in found.items()} == {
        name: [corners(row) for row in rows if row["image_path"] == name] for name in {r["image_path"] for r in rows}
    }


def npy_is_right(data, found):
    return same(np.load(io.BytesIO(data), allow_pickle=False), found)


def npz_is_right(data, found):
    with np.load(io.BytesIO(data), allow_pickle=False) as expected:
        return set(expected) == set(found) and all(same(expected[name], found[name]) for name in found)


def same(a, b):
    return a.shape == b.shape and a.astype(a.dtype.newbyteorder("=")).tobytes() == b.tobytes()


def safetensors_are_right(data, found):
    start = 8 + int.from_bytes(data[:8], "little")
    header = {name: entry for name, entry in json.loads(data[8:start]).items() if name != "__metadata__"}
    content = lambda begin, end: data[start + begin : start + end]
    return set(header) == set(found) and all(
        found[name].tobytes() == content(*entry["data_offsets"]) and list(found[name].shape) == entry["shape"]
        for name, entry in header.items()
    )


def read_shards(path):
    """Two files, of which the index is the mutated one."""
    for name, array in NUMBERS.items():
        (path.parent / f"{name}.safetensors").write_bytes(safetensors({name: array}))
    return read_safetensors(path)


def shards_are_right(data, found):
    return found.keys() == json.loads(data)["weight_map"].keys() and all(
        same(NUMBERS[name], found[name]) for name in found
    )


def image_is_right(data, found):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        with contextlib.suppress(Exception):  # EXIF that is damaged says nothing
            ImageOps.exif_transpose(image, in_place=True)
        return np.array_equal(np.asarray(image.convert("RGB")), found["x"])


def archive_is_right(data, found):
    """A zip has its checksums; in a tar, what came out stands in it."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return found == {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    raw = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    return all(content in raw for content in found.values())


def read_image(path):
    (path.parent / "a").mkdir(exist_ok=True)
    path.replace(path.parent / "a" / path.name)
    return ImageFolder(path.parent, max_pixels=2**14)[0]


def tiff_is_right(data, found):
    with Image.open(io.BytesIO(data)) as image:
        return found.tolist() == [[image.getpixel((x, y)) for x in range(image.width)] for y in range(image.height)]


def read_archive(path):
    around = set(path.parent.iterdir())
    try:
        folder = unpack(path, path.parent / "out")
        found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
        shutil.rmtree(folder)
    finally:
        assert set(path.parent.iterdir()) == around
    return found


def saved(save, *args, **kwargs):
    """What a function writes into a file."""
    save(file := io.BytesIO(), *args, **kwargs)
    return file.getvalue()


def zipped():
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in PACKED.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return file.getvalue()


def tarred():
    with tarfile.open(fileobj=(file := io.BytesIO()), mode="w") as archive:
        for name, content in PACKED.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()[: 6 * 512]  # two heads, two bodies, the end; without filling up to 10 kB


RNG = np.random.default_rng(0)
NUMBERS = {"a": RNG.normal(size=(5, 3)).astype(np.float32), "b": np.arange(7, dtype=np.int16)}
IDX = (idx(NUMBERS["a"]), idx(np.arange(12, dtype=np.uint8).reshape(3, 4)))
INDEX_FILE = "model.safetensors.index.json"
INDEX = json.dumps(
    {"metadata": {"total_size": 74}, "weight_map": {name: f"{name}.safetensors" for name in NUMBERS}}
).encode()
SOUND = RNG.integers(0, 256, 48, np.uint8).tobytes()
WAVS = (
    wav(SOUND, 2, 8000, 16),
    wav(SOUND, 1, 8000, 24, extensible=True, before=chunk(b"LIST", b"abc")),
    wav(NUMBERS["a"].tobytes()[:48], 2, 44100, 32, 3),
)
LINES = b'{"text": "good \\u00e9", "label": 1}\n{"text": "bad", "label": 0}\n'
DICTIONARY = b"read R EH1 D\nread(2) R IY1 D # now\n'em AH0 M\n"
PAIRS = b'Save\tSpeichern\r\n"#" = align\t"#" = \xc3\xbcber\n'
TAGGED = b"<all><one><No>5</No> <Name>Main &amp; 1st</Name>,</one><one><No>7a</No></one></all>"
SCORE = score(
    {"Alto": [attributes(2) + note(60, 3) + note(61, 1, tie="start"), note(61, 2, tie="stop") + note(None, 2)]}
)
SCORES = (SCORE, packed(SCORE))
TABLE = b'age,height,smoker,name\n61,1.75,yes,"Ada, ""A"""\n-7,2e0,no,B\n12,160,no,C\n'
BOXES = b"image_path,xmin,ymin,xmax,ymax,label\na.png,1,2,30,40,Tree\nb.png,0,0,5,5,Tree\na.png,7,7,9,9,Dead\n"
COLUMNS = {"age": int, "height": float, "smoker": ("no", "yes"), "name": str}
PICTURE = Image.fromarray(RNG.integers(0, 256, (9, 7, 3), np.uint8))
TURNED = Image.Exif()
TURNED[0x0112] = 6
PICTURES = tuple(saved(PICTURE.save, format=kind, exif=exif) for kind in ("PNG", "JPEG") for exif in (b"", TURNED))
GREY = RNG.integers(0, 2**16, (9, 7), np.uint16)
TIFFS = tuple(
    saved(Image.fromarray(array).save, format="TIFF", compression=how)
    for array in (GREY, (GREY >> 8).astype(np.uint8))
    for how in (None, "tiff_adobe_deflate")
)
PACKED = {"d/a.txt": b"first", "b.bin": bytes(range(256)) * 2}
ARCHIVES = (zipped(), tarred(), gzip.compress(tarred(), mtime=0))

READERS = [
    Reader("idx", "a.idx", IDX, read_idx, idx_is_right),
    Reader("idx-gzip", "a.gz", tuple(gzip.compress(data, mtime=0) for data in IDX), read_idx, idx_is_right),
    Reader("cifar", "a.bin", (cifar_records(2)[0],), read_cifar, cifar_is_right),
    Reader("wav", "a.wav", WAVS, read_wav, wav_is_right),
    Reader("jsonl", "a.jsonl", (LINES,), lambda path: read_jsonl(path, {"text": str, "label": (0, 1)}), jsonl_is_right),
    Reader("pronunciations", "a.dict", (DICTIONARY,), read_pronunciations, pronunciations_are_right),
    Reader("pairs", "a.tsv", (PAIRS,), read_pairs, pairs_are_right),
    Reader("tagged", "a.xml", (TAGGED,), read_tagged_words, tagged_are_right),
    Reader("scores", "a.xml", SCORES, read_musicxml, score_is_right),
    Reader("csv", "a.csv", (TABLE,), lambda path: read_csv(path, COLUMNS), csv_is_right),
    Reader("boxes", "a.csv", (BOXES,), read_boxes, boxes_are_right),
    Reader("npy", "a.npy", tuple(saved(np.save, array) for array in NUMBERS.values()), read_npy, npy_is_right),
    Reader("npz", "a.npz", (saved(np.savez, **NUMBERS), saved(np.savez_compressed, **NUMBERS)), read_npz, npz_is_right),
    Reader("safetensors", "a.safetensors", (safetensors(NUMBERS),), read_safetensors, safetensors_are_right),
    Reader("safetensors-index", INDEX_FILE, (INDEX,), read_shards, shards_are_right),
    Reader("gguf", "a.gguf", GOOD, read_gguf, gguf_is_right),
    Reader(
        "images",
        "a/a.png",
        (
            *(saved(PICTURE.save, format=kind) for kind in ("PNG", "JPEG")),
            saved(PICTURE.save, format="JPEG", exif=TURNED),
        ),
        read_image,
        image_is_right,
    ),
    Reader("tiff", "a.tif", TIFFS, lambda path: read_tiff(path, max_pixels=2**14), tiff_is_right),
    Reader("archives", "a.pack", ARCHIVES, read_archive, archive_is_right),
]
