"""Packages that not every reader needs: imported where used, and a missing one says how to get it."""

from __future__ import annotations

import importlib
from typing import Any


def optional(module: str, extra: str) -> Any:
    """The module, imported now.

    Args:
      module: its name.
      extra: the extra of jnn that brings it.

    Raises:
      ImportError: one line with the command that installs it.

    >>> optional("no_such_package", "images")
    Traceback (most recent call last):
    ImportError: no_such_package is not installed. It comes with: pip install 'jnn[images]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is not installed. It comes with: pip install 'jnn[{extra}]'") from error
