"""A damaged record stops the reading, or is skipped and counted: the caller says which.

    read_jsonl(path, fields)                     the first damaged record is a ValueError
    read_jsonl(path, fields, skipped=Skipped())  it is left out, and `skipped` knows where and why

Laws: nothing is skipped unless asked; what is skipped is counted, once, however often it is read;
more than `limit` damaged records stop the reading after all.

A source that is indexed cannot leave a record out without moving the others: it gives None in its
place, which Grain drops.
"""

from __future__ import annotations


class Skipped:
    """Skipped records: counts the damaged ones. It counts in one process: give each worker its own.

    Args:
      limit: how many may be skipped; a corpus that is damaged throughout is not training data.

    Raises:
      ValueError: a limit below 0.

    >>> skipped = Skipped()
    >>> refuse("a.csv: line 3", ValueError("a.csv: line 3: expected 2 fields, found 1"), skipped)
    >>> skipped.count, skipped.messages
    (1, ['a.csv: line 3: expected 2 fields, found 1'])
    """

    def __init__(self, limit: int = 1000) -> None:
        if limit < 0:
            raise ValueError(f"Skipped: limit is how many records may be skipped, 0 or more; found {limit}.")
        self.limit = limit
        self._messages: dict[str, str] = {}  # by place: ordered, each once, and safe to fill from several threads

    @property
    def count(self) -> int:
        """How many different records were skipped."""
        return len(self._messages)

    @property
    def messages(self) -> list[str]:
        """Where and why, in the order in which they were met."""
        return list(self._messages.values())

    def add(self, where: str, message: str) -> None:
        """Counts the record of this place, once."""
        self._messages[where] = message
        if self.count > self.limit:
            raise ValueError(
                f"{self.count} records are damaged, and at most {self.limit} may be skipped (Skipped(limit=...)). "
                f"The last one: {message}"
            )


def refuse(where: str, error: ValueError, skipped: Skipped | None) -> None:
    """What every reader does with a damaged record: raises its error, or counts it.

    Args:
      where: the file and the place in it, which tell records apart.
      error: says which file, where in it, what was found and what was expected.
      skipped: the counter, or None to stop.

    Raises:
      ValueError: the error itself, or that too many records are damaged.
    """
    if skipped is None:
        raise error
    skipped.add(where, str(error))
