"""Names of weights, of an encoder alone or of one with a head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Head = Literal["pooler", "masked_language_model", "sequence_classifier", "token_classifier"]


def with_head(
    family: str, body: Mapping[str, str], heads: Mapping[Head, Mapping[str, str]], head: Head | None
) -> dict[str, str]:
    """Names of the paths of an encoder, or of {"encoder": ..., "head": ...}.

    The encoder's class keeps its weights, and its pooler, as they are; one with another head keeps it below the
    family's name.

    >>> with_head("bert", {"norm/*": "LayerNorm.*"}, {"token_classifier": {"*": "classifier.*"}}, "token_classifier")
    {'encoder/norm/*': 'bert.LayerNorm.*', 'head/*': 'classifier.*'}
    """
    if head is None:
        return dict(body)
    if head not in heads:
        raise ValueError(f"{family}_from_hf: expected a head among {sorted(heads)}, found {head!r}.")
    below = "" if head == "pooler" else f"{family}."
    of_encoder = {f"encoder/{path}": f"{below}{name}" for path, name in body.items()}
    return of_encoder | {f"head/{path}": name for path, name in heads[head].items()}
