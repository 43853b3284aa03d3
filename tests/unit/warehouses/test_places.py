"""Where warehouses may keep files: not among Headwater's own, whatever type they are."""

from __future__ import annotations

import pytest

from headwater.errors import DeliveryError, QueryError
from headwater.reports.query import Queries
from headwater.warehouses import delta, duckdb, ducklake, embedded
from headwater.warehouses._lanes.places import allowed
from headwater.warehouses.embedded.layout import Layout


@pytest.fixture
def home(tmp_path):
    """Return the home of a warehouse in a data directory with a neighbour and a link that leads back into it."""
    data = tmp_path / "data"
    for name in ("warehouses/mine", "warehouses/theirs", "state"):
        (data / name).mkdir(parents=True)
    (data / "control.db").touch()
    (tmp_path / "link").symlink_to(data)
    return data / "warehouses" / "mine"


@pytest.mark.parametrize("place", ["mine", "mine/lake", "../../elsewhere", "../../data-of-others"])
def test_a_place_of_its_own_or_elsewhere_is_allowed(home, place):
    assert allowed(home.parent / place, home) == home.parent / place


FORBIDDEN = ("data", "", "data/state", "data/warehouses", "data/warehouses/theirs", "link/warehouses/theirs", "link")


@pytest.mark.parametrize("place", FORBIDDEN)
def test_directories_of_headwaters_are_no_place(home, place, tmp_path):
    directory = str(tmp_path / place)
    for make in (
        lambda: embedded.Warehouse(embedded.Settings(directory), home),
        lambda: delta.Warehouse(delta.Settings(location=directory), home),
        lambda: ducklake.Lake(ducklake.Settings(data_path=directory), home).target(),
    ):
        with pytest.raises(DeliveryError):
            make()


def test_nor_are_files_in_them(home, tmp_path):
    for name in ("data/control.db", "data/warehouses/theirs/warehouse.duckdb", "link/state/x.db"):
        file = str(tmp_path / name)
        with pytest.raises(DeliveryError, match="own data directory"):
            duckdb.Warehouse(duckdb.Settings(file), home).check()
        with pytest.raises(DeliveryError, match="own data directory"):
            ducklake.Lake(ducklake.Settings(catalog_file=file), home).target()


@pytest.mark.parametrize(
    ("type_", "settings"),
    [("embedded", {"directory": "theirs"}), ("duckdb", {"file": "theirs/a.duckdb"}), ("delta", {"location": "theirs"})],
)
def test_and_no_question_reads_a_neighbours(home, type_, settings):
    (home.parent / "theirs" / "a.duckdb").touch()
    given = {name: str(home.parent / place) for name, place in settings.items()}
    queries = Queries(home.parent, lambda _: (type_, given))
    with pytest.raises(QueryError, match="own data directory"):
        queries.run("mine", "select 1")


def test_a_directory_with_somebody_elses_files_is_left_as_it_is(tmp_path):
    kept = tmp_path / "staging" / "precious"
    kept.parent.mkdir()
    kept.touch()
    with pytest.raises(DeliveryError, match="other files"):
        Layout(tmp_path).make()
    assert kept.exists()
