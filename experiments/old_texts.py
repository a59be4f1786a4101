"""Plays of Shakespeare and addresses of presidents, by characters: for experiments that want more than a million.

old_texts(context, data_dir) -> (rows that train, rows that validate, how many characters there are)

Law: what validates are other documents than what trains.
"""

from __future__ import annotations

import numpy as np

from jnn.data import Characters, find, windows_in_order

EVERY = 10  # one of so many documents validates


def old_texts(context: int, data_dir: str | None = None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], int]:
    """37 plays and 233 addresses on the state of the union, of which every tenth validates, 15.6 million characters.

    Args:
      context: characters of a row.
      data_dir: as everywhere.

    Returns:
      x and y (n, context) int32 of what trains and of what validates, y a character later; and the size of the
      vocabulary. tinyshakespeare has no part in it: its plays are among the 37.
    """
    plays = find(data_dir, "shakespeare/input.txt", how="put 37 plays there, one behind the other").read_text("utf-8")
    folder = find(data_dir, "sotu/", how="put the addresses on the state of the union there, a file each")
    addresses = [path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))]
    documents = plays.split("\n\nby William Shakespeare") + addresses
    characters = Characters.build("".join(documents))
    parts = [[text for i, text in enumerate(documents) if (i % EVERY == EVERY // 2) is held] for held in (False, True)]
    training, validation = (windows_in_order(characters.encode("".join(part)), context) for part in parts)
    return training, validation, len(characters)
