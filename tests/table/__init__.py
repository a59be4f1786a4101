"""One row per block and loss: `laws.py` runs every law over every row. A new block joins by adding a row, or a file."""

import importlib
import pkgutil

_FILES = [importlib.import_module(f"{__name__}.{file.name}") for file in pkgutil.iter_modules(__path__)]
BLOCKS = [block for file in _FILES for block in getattr(file, "BLOCKS", [])]
LOSSES = [loss for file in _FILES for loss in getattr(file, "LOSSES", [])]
