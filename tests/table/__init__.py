"""One row per block and loss: `laws.py` runs every law over every row. A new block joins by adding a row, or a file."""

import importlib
import pkgutil

import pytest

from tests.table import zoo

_FILES = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
BLOCKS = [block for file in _FILES for block in getattr(file, "BLOCKS", [])]
LOSSES = [loss for file in _FILES for loss in getattr(file, "LOSSES", [])]


def of_a_large_model(block, *what):
    """A row as a case of a test, slow where its programs take seconds to compile."""
    return pytest.param(block, *what, marks=pytest.mark.slow if block in zoo.BLOCKS else ())
