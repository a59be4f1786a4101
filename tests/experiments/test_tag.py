"""Addresses: a random field tags whole ones better than words by themselves."""

import pytest

from experiments import tag
from jnn.data import data_root


@pytest.mark.slow
def test_a_field_gets_more_whole_addresses_right(tmp_path):
    if not (data_root() / "usaddress" / "labeled.xml").is_file():
        pytest.skip(f"usaddress/labeled.xml is not in {data_root()}; set JNN_DATA to where it is.")
    right = {}
    for field in ("yes", "no"):
        config = tag.Config(workdir=str(tmp_path / field), field=field, steps=400)
        right[field] = tag.experiment(config).metrics
        assert right[field]["test_words"] > 0.85
    assert right["yes"]["test_addresses"] > right["no"]["test_addresses"]
