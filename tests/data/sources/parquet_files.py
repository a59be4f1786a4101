"""Parquet as the fuzz sees it: a row for `readers.READERS` where PyArrow is installed."""

import functools
import importlib.util
import io

from jnn.data import read_parquet
from tests.data.sources.readers import COLUMNS, Reader

ROWS = {"age": [61, -7, 12], "height": [1.75, 2.0, 160.0], "smoker": ["yes", "no", "no"], "name": ["Ada", "B", "C"]}
WRITTEN = [  # by dictionary and compressed, as is usual; plain; in pages of the newer format
    {},
    {"compression": "none", "use_dictionary": False, "write_statistics": False},
    {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 2},
]
MOST = 2**21  # bytes that PyArrow may hold at a time, of files of a kilobyte that its codecs may have packed


def tables():
    """The bytes of good files."""
    import pyarrow
    from pyarrow import parquet

    for options in WRITTEN:
        parquet.write_table(pyarrow.table(ROWS), file := io.BytesIO(), **options)
        yield file.getvalue()


@functools.cache
def pools():
    """PyArrow's own pool, and one in front of it that counts; it stays, since nothing may outlive its pool."""
    import pyarrow

    own = pyarrow.default_memory_pool()
    return own, pyarrow.proxy_memory_pool(own)


def read_within_bounds(path):
    """`read_parquet`, and what PyArrow takes beside Python's memory."""
    import pyarrow

    own, counting = pools()
    pyarrow.set_memory_pool(counting)
    try:
        return read_parquet(path, COLUMNS)
    finally:
        pyarrow.set_memory_pool(own)
        assert counting.max_memory() <= MOST, f"{counting.max_memory()} bytes for a file of {path.stat().st_size}"


def table_is_right(data, found):
    """Value by value, from what PyArrow makes of the bytes as Python objects."""
    from pyarrow import parquet

    rows = parquet.ParquetFile(io.BytesIO(data)).read(columns=list(COLUMNS)).to_pylist()
    text = lambda value: value.decode() if isinstance(value, bytes) else str(value)  # where the column's kind is lost
    parse = lambda r: (int(r["age"]), float(r["height"]), ("no", "yes").index(text(r["smoker"])), text(r["name"]))
    return [parse(row) for row in rows] == list(zip(*(found[name] for name in COLUMNS), strict=True))


PARQUET = (
    [Reader("parquet", "a.parquet", tuple(tables()), read_within_bounds, table_is_right)]
    if importlib.util.find_spec("pyarrow")
    else []
)
