"""One row per block and loss: `laws.py` runs every law over every row. A new block joins by adding a row, or a file."""

import importlib
import pkgutil

import pytest

from tests.table import zoo

_FILES = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
BLOCKS = [block for file in _FILES for block in getattr(file, "BLOCKS", [])]
LOSSES = [loss for file in _FILES for loss in getattr(file, "LOSSES", [])]


COMPOSED = {  # of rows that are in the table by themselves, in seconds of compilation
    "block-adapters",
    "block-decoder-gated",
    "block-parallel",
    "block-post_norm",
    "decoder_hidden",
    "encoder",
    "encoder_decoder",
    "masked_language_model",
    "recurrent_classifier",
    "transformer_hidden",
    "transformer-rotary-grouped",
}


def is_large(block):
    """Whether its programs take seconds to compile."""
    return block in zoo.BLOCKS or block.name in COMPOSED


def of_a_large_model(block, *what):
    """A row as a case of a test, slow where its programs take seconds to compile."""
    return pytest.param(block, *what, marks=pytest.mark.slow if is_large(block) else ())
