"""Sources: from files to NumPy arrays and records, one format a file; and arrays into files of weights.

What lives here turns a path into arrays, or into a source with a length and an index, and trusts no
byte of it: a reader gives what the file encodes or one error that names the file and the place;
nothing is unpickled; memory is bounded by the file's size, not by what a header claims. A damaged
record stops the reading, or is skipped and counted, if the caller passes `skipped=Skipped()`. What
does not live here: batches, shuffles and augmentation.
"""

from jnn.data.sources._archive import unpack
from jnn.data.sources._cifar import cifar10, read_cifar
from jnn.data.sources._csv import read_csv
from jnn.data.sources._damage import Skipped
from jnn.data.sources._embedded import breast_cancer, diabetes, digits
from jnn.data.sources._emoji import emoji
from jnn.data.sources._faces import orl_faces
from jnn.data.sources._gcin_voice import gcin_voice
from jnn.data.sources._gguf import read_gguf
from jnn.data.sources._gguf_blocks import Quantized
from jnn.data.sources._graphs import mutag, planetoid, read_tu_graphs
from jnn.data.sources._huggingface import HuggingFace
from jnn.data.sources._idx import mnist, read_idx
from jnn.data.sources._images import ImageFolder
from jnn.data.sources._jsonl import read_jsonl
from jnn.data.sources._midi import read_midi, write_midi
from jnn.data.sources._molecules import moses, qm9
from jnn.data.sources._mortgages import boston_mortgages
from jnn.data.sources._movielens import MovieLens, movielens100k, movielens_genres
from jnn.data.sources._musicxml import Bar, Note, Part, bach_chorales, read_musicxml
from jnn.data.sources._numpy_files import read_npy, read_npz
from jnn.data.sources._omniglot import omniglot, omniglot_runs
from jnn.data.sources._parquet import read_parquet
from jnn.data.sources._root import data_root, find
from jnn.data.sources._safetensors import read_safetensors
from jnn.data.sources._safetensors_write import write_safetensors
from jnn.data.sources._spoken_digits import spoken_digits
from jnn.data.sources._synthetic import noisy_sum, sum_above_half
from jnn.data.sources._text import imdb, read_reviews, tinyshakespeare
from jnn.data.sources._text_lines import cmudict, libreoffice_en_de, read_pairs, read_pronunciations
from jnn.data.sources._tiff import nuclei, read_tiff
from jnn.data.sources._trees import read_boxes, trees
from jnn.data.sources._usaddress import read_tagged_words, usaddress
from jnn.data.sources._wav import read_wav

__all__ = [
    "Bar",
    "HuggingFace",
    "ImageFolder",
    "MovieLens",
    "Note",
    "Part",
    "Quantized",
    "Skipped",
    "bach_chorales",
    "boston_mortgages",
    "breast_cancer",
    "cifar10",
    "cmudict",
    "data_root",
    "diabetes",
    "digits",
    "emoji",
    "find",
    "gcin_voice",
    "imdb",
    "libreoffice_en_de",
    "mnist",
    "moses",
    "movielens100k",
    "movielens_genres",
    "mutag",
    "noisy_sum",
    "nuclei",
    "omniglot",
    "omniglot_runs",
    "orl_faces",
    "planetoid",
    "qm9",
    "read_boxes",
    "read_cifar",
    "read_csv",
    "read_gguf",
    "read_idx",
    "read_jsonl",
    "read_midi",
    "read_musicxml",
    "read_npy",
    "read_npz",
    "read_pairs",
    "read_parquet",
    "read_pronunciations",
    "read_reviews",
    "read_safetensors",
    "read_tagged_words",
    "read_tiff",
    "read_tu_graphs",
    "read_wav",
    "spoken_digits",
    "sum_above_half",
    "tinyshakespeare",
    "trees",
    "unpack",
    "usaddress",
    "write_midi",
    "write_safetensors",
]
