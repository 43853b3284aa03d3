import pytest

from headwater.app.web_role import ask, first
from headwater.config import Settings
from headwater.control.service import open_control
from headwater.errors import QueryError


@pytest.fixture
def control(tmp_path):
    opened = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32)
    yield opened
    opened.close()


def test_the_pages_ask_the_oldest_warehouse_that_is_left(control):
    workspace = control.workspaces.get().id
    oldest = first(control)
    younger = control.warehouses.create(workspace, "embedded", name="Archive")
    assert first(control).id == oldest.id
    control.warehouses.delete(workspace, oldest.id)
    assert first(control).id == younger.id


def test_without_a_warehouse_the_pages_say_how_to_make_one(control):
    control.warehouses.delete(control.workspaces.get().id, first(control).id)
    with pytest.raises(QueryError, match="warehouses create"):
        first(control)


def test_a_warehouse_that_was_never_loaded_is_a_clear_error(control, tmp_path):
    with pytest.raises(QueryError):
        ask(Settings(data_dir=tmp_path), first(control), "select 1", 10)
