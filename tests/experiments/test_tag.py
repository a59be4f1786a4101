"""Addresses: a random field tags whole ones better than words by themselves."""

import pytest

from experiments import tag
from tests.needed_data import needs


@pytest.mark.slow
def test_a_field_gets_more_whole_addresses_right(tmp_path):
    needs("usaddress/labeled.xml")
    right = {}
    for field in ("yes", "no"):
        config = tag.Config(workdir=str(tmp_path / field), field=field, steps=400)
        right[field] = tag.experiment(config).metrics
        assert right[field]["test_words"] > 0.85
    assert right["yes"]["test_addresses"] > right["no"]["test_addresses"]
