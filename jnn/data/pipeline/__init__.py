"""Pipelines: examples that do not all fit into memory, read ahead of the step that needs them.

What lives here puts examples in an order that depends on the seed alone, mixes sources, packs documents into rows,
and reads batches ahead by Grain's threads or worker processes (`pip install 'jnn[pipelines]'`). Batches stay what
they are everywhere in jnn: a function of the step, `batches[step]`. So the place of a run in its data is the step's
number, and it may go on with any number of workers and processes. What does not live here: what decodes a file
(`sources/`), and arrays that are in memory already (`Batches`, `Windows`), which need no pipeline.
"""

from jnn.data.pipeline._ahead import ReadAhead
from jnn.data.pipeline._iterated import IteratorBatches
from jnn.data.pipeline._mixture import mixture
from jnn.data.pipeline._packed import Packed
from jnn.data.pipeline._source_batches import SourceBatches

__all__ = [
    "IteratorBatches",
    "Packed",
    "ReadAhead",
    "SourceBatches",
    "mixture",
]
