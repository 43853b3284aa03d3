"""A change leaves one entry in its own transaction: what was there before, who did it, and nothing that is secret."""

import re
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from headwater import control as control_package
from headwater.control.acting import Actor, Kind, acting
from headwater.control.audit.tables import entries
from headwater.control.audit.trail import Wanted
from headwater.control.database import changing, destinations, noting, sources, tokens, warehouse_sources
from headwater.control.models import MASKED
from headwater.control.service import open_control
from headwater.errors import ConflictError

KEY = b"k" * 32
CONTROL = Path(control_package.__file__).parent
ANA = Actor(Kind.USER, "u1", "Ana", "ana@example.com", "192.0.2.7")
HEADERS = {"X-Api-Key": "canary-6b1f0c"}
HOOK = {"url": "https://example.com/hook"}


@pytest.fixture
def control(tmp_path):
    control = open_control(f"sqlite:///{tmp_path}/control.db", KEY)
    yield control
    control.close()


@pytest.fixture
def workspace(control):
    return control.workspaces.get()


@pytest.fixture
def trail(control, workspace):
    """Return a function that tells the entries since it was last asked, oldest first."""
    seen = [control.audit.page(Wanted(workspace.id, with_installation=True), 1)[0].seq]

    def told():
        found = control.audit.page(Wanted(workspace.id, with_installation=True), 100)
        new = [each for each in reversed(found) if each.seq > seen[0]]
        seen[0] = found[0].seq
        return new

    return told


@pytest.fixture
def hook(control, workspace, trail):
    control.sources.create(workspace.id, "site", "http-api")
    made = control.destinations.create(workspace.id, "site", "webhook", settings=HOOK | {"headers": HEADERS})
    trail()
    return made


def types(found):
    return [each.type for each in found]


def test_a_new_thing_with_its_parts_is_one_entry_by_whoever_acts(control, workspace, trail):
    with acting(ANA):
        source = control.sources.create(workspace.id, "shop", "http-api")
    (entry,) = trail()
    assert (entry.type, entry.resource_type, entry.resource_id) == ("Source Created", "SOURCE", source.id)
    assert (entry.actor_kind, entry.actor_id, entry.actor_email, entry.address) == (
        "user",
        "u1",
        "ana@example.com",
        "192.0.2.7",
    )
    assert entry.workspace_id == workspace.id
    of = {each["resourceType"]: each for each in entry.changes}
    assert list(of) == ["SOURCE", "WRITE_KEY", "WAREHOUSE_SOURCE"]
    assert (of["SOURCE"]["before"], of["SOURCE"]["after"]["slug"]) == (None, "shop")
    assert of["WRITE_KEY"]["after"]["write_key"] == source.write_keys[0][:4] + MASKED


def test_a_change_tells_only_what_differs(control, workspace, hook, trail):
    control.destinations.update(workspace.id, hook.id, name="Hook", settings={"url": "https://example.com/new"})
    (entry,) = trail()
    (change,) = entry.changes
    assert change["before"] == {"name": "Webhooks", "settings": {**HOOK, "headers": MASKED}}
    assert change["after"] == {"name": "Hook", "settings": {"url": "https://example.com/new", "headers": MASKED}}


@pytest.mark.parametrize(
    "same", [{"name": "Webhooks"}, {"enabled": True}, {"settings": HOOK}, {"settings": {"headers": HEADERS}}]
)
def test_a_change_to_what_is_there_already_leaves_no_entry_even_where_a_secret_is_sealed_anew(
    control, workspace, hook, trail, same
):
    control.destinations.update(workspace.id, hook.id, **same)
    assert trail() == []


def test_a_new_secret_is_told_without_being_shown(control, workspace, hook, trail):
    control.destinations.update(workspace.id, hook.id, settings={"headers": {"X-Api-Key": "canary-77"}})
    (entry,) = trail()
    assert entry.changes[0]["before"] == entry.changes[0]["after"] == {"settings": {**HOOK, "headers": MASKED}}


def test_what_goes_with_its_parent_is_part_of_its_entry(control, workspace, hook, trail):
    control.sources.delete(workspace.id, hook.source_id)
    assert types(trail()) == ["Source Deleted"]


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (lambda control, at, hook: control.destinations.update(at, hook.id, enabled=False), "Destination Disabled"),
        (lambda control, at, hook: control.sources.add_write_key(at, hook.source_id), "Write Key Added"),
        (lambda control, at, _: control.tokens.create(at, "ci"), "Access Token Created"),
        (
            lambda control, at, hook: control.warehouses.disconnect(at, "embedded", hook.source_id),
            "Warehouse Source Disconnected",
        ),
    ],
)
def test_deeds_have_their_names(control, workspace, hook, trail, deed, named):
    deed(control, workspace.id, hook)
    (entry,) = trail()
    assert entry.type == named
    assert entry.resource_name


@pytest.mark.usefixtures("hook")
def test_what_fails_leaves_no_entry(control, trail):
    def half():
        with changing(control._engine) as connection:
            connection.execute(update(destinations).values(name="Half"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert trail() == []


def test_a_row_that_is_replaced_by_an_equal_one_did_not_change(control, hook, trail):
    with changing(control._engine) as connection:
        found = dict(connection.execute(select(destinations)).mappings().one())
        connection.execute(destinations.delete().where(destinations.c.id == hook.id))
        connection.execute(insert(destinations).values([found]))
    assert trail() == []


def test_rows_that_are_inserted_many_at_a_time_are_all_seen(control, workspace, hook, trail):
    second = control.sources.create(workspace.id, "second", "http-api")
    trail()
    rows = [{"warehouse_id": "embedded", "source_id": each} for each in (hook.source_id, second.id)]
    with changing(control._engine) as connection:
        connection.execute(warehouse_sources.delete())
    with changing(control._engine) as connection:
        connection.execute(insert(warehouse_sources), rows)
    gone, back = trail()
    assert [(each["change"], each["before"]) for each in gone.changes] == [("deleted", row) for row in rows]
    assert [(each["change"], each["after"]) for each in back.changes] == [("created", row) for row in rows]
    assert (back.resource_type, back.resource_name) == ("WAREHOUSE", "Embedded")


def test_what_the_trail_cannot_follow_is_refused(control, hook):
    with pytest.raises(TypeError, match="SQL as text"), changing(control._engine) as connection:
        connection.execute(text("update destinations set name = 'x'"))
    with pytest.raises(TypeError, match="SQL as text"), changing(control._engine) as connection:
        connection.exec_driver_sql("delete from destinations")
    with pytest.raises(TypeError, match="outside changing"), noting(control._engine) as connection:
        connection.execute(update(sources).values(name="x"))
    assert control.destinations.get(hook.workspace_id, hook.id) == hook


def test_a_token_that_is_used_leaves_no_entry(control, workspace, trail):
    secret, _ = control.tokens.create(workspace.id, "ci")
    trail()
    assert control.authenticate(secret) is not None
    with control._engine.connect() as connection:
        assert connection.execute(select(tokens.c.last_used_at)).scalar() is not None
    assert trail() == []


def test_no_secret_is_in_what_the_trail_keeps(control, workspace, hook):
    secret, _ = control.tokens.create(workspace.id, "ci")
    key = control.sources.get(workspace.id, hook.source_id).write_keys[0]
    with control._engine.connect() as connection:
        kept = str(connection.execute(select(entries)).all())
    assert "Access Token Created" in kept
    for each in (HEADERS["X-Api-Key"], secret, key, "v1:"):
        assert each not in kept


@pytest.mark.usefixtures("hook")
def test_a_change_that_was_sealed_with_a_key_that_is_gone_meanwhile_is_refused(control, trail):
    sealed = "v1:00000000:" + "A" * 40
    with pytest.raises(ConflictError, match="once more"), changing(control._engine) as connection:
        connection.execute(update(destinations).values(settings=f'{{"headers":"{sealed}"}}'))
    assert trail() == []


def test_nobody_opens_a_transaction_that_the_trail_does_not_see():
    """`changing` and `noting` are the only ways to write; the migrations run before there is a trail."""
    found = [
        path.relative_to(CONTROL).as_posix()
        for path in CONTROL.rglob("*.py")
        if re.search(r"writes=True|\"writes\": True|engine\.begin\(", path.read_text())
    ]
    assert found == ["database.py"]
