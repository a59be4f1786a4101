"""SMILES: its tokens, an n-gram that writes it, and how what is written is judged; the chemistry is RDKit's.

tokens(smiles) -> [token, ...]               atoms, bonds, branches and rings
Vocabulary.build(molecules)                  tokens as integers; 0 begins and ends a molecule
ngram(documents, n, count, rng) -> drawn     from what followed the last n tokens, as often as it did
judged(drawn, known) -> shares               valid, unique, novel (pip install 'jnn[molecules]')
drawings(smiles) -> figure
"""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments import pictures
from jnn.optional import optional

TOKEN = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.")
END = 0
FIRST = 1000  # valid molecules among which those that are unique are counted


def tokens(smiles: str) -> list[str]:
    """Tokens of a molecule.

    >>> tokens("Clc1c[nH]cc1")
    ['Cl', 'c', '1', 'c', '[nH]', 'c', 'c', '1']
    """
    return TOKEN.findall(smiles)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Names of tokens by their numbers; the first begins and ends a molecule.

    >>> vocabulary = Vocabulary.build(["CCO"])
    >>> vocabulary.encode("OC").tolist(), vocabulary.decode([2, 1])
    ([0, 2, 1, 0], 'OC')
    """

    names: tuple[str, ...]

    @classmethod
    def build(cls, molecules: Iterable[str]) -> Vocabulary:
        """Of the molecules that train."""
        return cls(("", *sorted({token for molecule in molecules for token in tokens(molecule)})))

    def encode(self, molecule: str) -> np.ndarray:
        """With the end on either side."""
        numbers = {name: i for i, name in enumerate(self.names)}
        return np.array([END, *(numbers[token] for token in tokens(molecule)), END], np.int32)

    def knows(self, molecule: str) -> bool:
        """Whether it has all of its tokens."""
        return set(tokens(molecule)) <= set(self.names)

    def decode(self, ids: Iterable[int]) -> str:
        """Ends are nothing."""
        return "".join(self.names[i] for i in ids)


def ngram(documents: Sequence[np.ndarray], n: int, count: int, rng: np.random.Generator) -> list[list[int]]:
    """Molecules drawn token by token, each as often as it followed the n tokens before it in the documents.

    What was drawn has itself been read, so there is always something that followed.
    """
    followed = collections.defaultdict(list)
    for document in documents:
        padded = [END] * (n - 1) + document.tolist()
        for at in range(n, len(padded)):
            followed[tuple(padded[at - n : at])].append(padded[at])
    drawn = []
    for _ in range(count):
        text = [END] * n
        while len(text) == n or text[-1] != END:
            text.append(followed[tuple(text[-n:])][int(rng.random() * len(followed[tuple(text[-n:])]))])
        drawn.append(text[n:-1])
    return drawn


def canonical(smiles: str) -> str | None:
    """The one way that RDKit writes a molecule, or None if it is none: by its syntax, valences and aromatic rings."""
    chem, base = optional("rdkit.Chem", "molecules"), optional("rdkit.rdBase", "molecules")
    with base.BlockLogs():
        molecule = chem.MolFromSmiles(smiles) if smiles else None
    return None if molecule is None else chem.MolToSmiles(molecule)


def judged(drawn: Sequence[str], known: Mapping[str, Collection[str]], prefix: str = "") -> dict[str, float]:
    """Shares: valid, of those drawn; unique, of the first thousand valid; novel, of all that are valid and distinct.

    Args:
      drawn: SMILES.
      known: by the name of a share of novel ones, canonical SMILES of what these are not among, such as what trained.
      prefix: of the shares' names.
    """
    valid = [molecule for molecule in map(canonical, drawn) if molecule is not None]
    distinct, first = set(valid), valid[:FIRST]
    return {
        f"{prefix}valid": len(valid) / len(drawn),
        f"{prefix}unique": len(set(first)) / max(1, len(first)),
        **{f"{prefix}{name}": len(distinct.difference(of)) / max(1, len(distinct)) for name, of in known.items()},
    }


def drawings(smiles: Sequence[str], columns: int = 4) -> Figure:
    """Structural formulas of the first dozen that are valid."""
    chem, draw = optional("rdkit.Chem", "molecules"), optional("rdkit.Chem.Draw", "molecules")
    valid = [molecule for molecule in smiles if canonical(molecule)][: 3 * columns]
    images = [np.asarray(draw.MolToImage(chem.MolFromSmiles(molecule), size=(360, 300))) for molecule in valid]
    if not images:
        return pictures.page("No molecule is valid.")
    return pictures.sheet(np.stack(images) / 255, columns)
