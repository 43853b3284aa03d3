"""The catalog: everything in it is found by its id, its slug and its name on the shelf, and by nothing else."""

import pytest

from headwater.control.catalog import Catalog, Kind
from headwater.errors import NotFoundError


@pytest.mark.parametrize("kind", [Kind.SOURCE, Kind.DESTINATION])
def test_each_entry_is_found_by_every_name_it_has(kind):
    catalog = Catalog()
    for entry in catalog.entries(kind):
        assert [catalog.find(kind, key) for key in (entry.id, entry.slug, entry.module_name)] == [entry] * 3


def test_no_name_finds_nothing():
    with pytest.raises(NotFoundError):
        Catalog().find(Kind.DESTINATION, "")
