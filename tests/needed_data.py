"""Data that has to be fetched: a test without it is skipped, and says what is missing."""

import pytest

from jnn.data import data_root


def needs(*names):
    """Skips unless these files and folders are there."""
    for name in names:
        if not (data_root() / name).exists():
            pytest.skip(f"{name} is not in {data_root()}; set JNN_DATA to where it is.")
