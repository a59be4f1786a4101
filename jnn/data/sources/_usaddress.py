"""Addresses of the United States with a tag on each word, in XML.

Law: any sequence of bytes gives either the records that it encodes or a ValueError that names the file and, where it is
known, the address.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from jnn.data.sources._root import PathLike, find

FILES = {"train": "labeled", "openaddress": "openaddress_us_ia_linn", "messy": "us50_messiest_manual_label"}
Tagged = list[tuple[list[str], list[str]]]


def usaddress(data_dir: PathLike | None = None, part: str = "train") -> Tagged:
    """Addresses of usaddress, word by word with their tags: StreetName, PlaceName, ZipCode and some twenty others.

    See "usaddress", DataMade, 2014, whose conditional random field learns from these files.

    Args:
      data_dir: as for `data_root`; the files are below `usaddress/`.
      part: "train" (1,513, labelled by people), "openaddress" (95,156 of one county, made from its columns), or "messy"
        (63 of the hardest, labelled by people).

    Returns:
      Of each address its words, and their tags.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: an unknown part, or a damaged file.
    """
    if part not in FILES:
        raise ValueError(f"usaddress: expected a part of {sorted(FILES)}, found {part!r}.")
    return read_tagged_words(
        find(data_dir, f"usaddress/{FILES[part]}.xml", how="put the training data of usaddress there")
    )


def read_tagged_words(path: PathLike) -> Tagged:
    """Tagged words from XML: an element for each sequence below the root, in it one for each word, named by its tag.

    Commas and the like between the elements are left out.

    Args:
      path: the file.

    Returns:
      Of each sequence its words, and their tags.

    Raises:
      ValueError: not XML, a sequence without words, a word that is empty or has elements, or no sequence at all.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("<all><one><Number>5</Number> <Name>Main</Name></one></all>")
    ...     file.flush()
    ...     read_tagged_words(file.name)
    [(['5', 'Main'], ['Number', 'Name'])]
    """
    name = Path(path).name
    try:
        root = ElementTree.fromstring(Path(path).read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise ValueError(f"{name}: not XML ({error}).") from error
    found = [_sequence(f"{name}: sequence {i}", element) for i, element in enumerate(root)]
    if not found:
        raise ValueError(f"{name}: expected sequences of tagged words, found none.")
    return found


def _sequence(where: str, element: ElementTree.Element) -> tuple[list[str], list[str]]:
    words = [(word.text or "").strip() for word in element]
    if not words or not all(words) or any(len(word) for word in element):
        raise ValueError(f"{where}: expected elements that hold a word each, found {words[:8]}.")
    loose = [element.text, *(word.tail for word in element)]
    if stray := [text.strip() for text in loose if text and any(character.isalnum() for character in text)]:
        raise ValueError(f"{where}: expected each word in an element, found {stray[:8]} outside.")
    return words, [word.tag for word in element]
