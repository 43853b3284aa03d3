"""What stands between log and destination is kept, checked, and reaches the engine as one configuration."""

import pytest

from headwater.app.connections import connections
from headwater.control.models import MASKED, FunctionKind
from headwater.control.service import open_control
from headwater.delivery.connection import FieldMapping, Filter, Tuning
from headwater.errors import ConflictError, InvalidRequestError, NotFoundError

KEY = b"k" * 32
HOOK = {"url": "https://example.com/hook"}
CODE = "async function onTrack(event, settings) { return event }"
DROP = ({"type": "DROP"},)
DEFINITIONS = [
    {"name": "token", "label": "Token", "description": "", "type": "STRING", "required": True, "sensitive": True},
    {"name": "limit", "label": "", "description": "", "type": "ARRAY", "required": False, "sensitive": False},
]


@pytest.fixture
def hook(control, workspace):
    control.sources.create(workspace.id, "site", "http-api")
    return control.destinations.create(workspace.id, "site", "webhook", settings=HOOK)


@pytest.fixture
def function(control, workspace):
    made = control.functions.create(
        workspace.id,
        FunctionKind.INSERT_DESTINATION,
        name="Clean",
        code=CODE,
        author="ann",
        definitions=DEFINITIONS,
    )
    return control.functions.deploy(workspace.id, made.id)


def only(control):
    (found,) = connections(control.snapshot(), KEY)
    return found


def test_a_destination_begins_where_the_log_ends(tmp_path):
    control = open_control(f"sqlite:///{tmp_path}/c.db", KEY, log_end=lambda: 41)
    workspace = control.workspaces.get().id
    control.sources.create(workspace, "site", "http-api")
    control.destinations.create(workspace, "site", "webhook", settings=HOOK)
    assert only(control).first_seq == 41


def test_without_a_log_it_begins_by_the_clock(control, hook):
    assert only(control).first_seq is None
    assert only(control).created_at == hook.created_at


def test_pace_and_patience_are_set_changed_and_reset(control, workspace, hook):
    given = {"concurrency": 3, "ratePerSecond": 0.5, "retryForHours": 2}
    assert control.destinations.update(workspace.id, hook.id, delivery=given).tuning == Tuning(3, 0.5, 7_200)
    assert control.destinations.update(workspace.id, hook.id, delivery={"concurrency": None}).tuning == Tuning(
        None, 0.5, 7_200
    )
    assert only(control).tuning == Tuning(None, 0.5, 7_200)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("concurrency", 0), ("concurrency", 65), ("concurrency", 1.5), ("concurrency", True)),
        *(("ratePerSecond", 0.001), ("ratePerSecond", 10_001), ("ratePerSecond", "5")),
        *(("retryForHours", 0), ("retryForHours", 721), ("other", 1)),
    ],
)
def test_pace_and_patience_have_bounds(control, workspace, hook, name, value):
    with pytest.raises(InvalidRequestError) as refused:
        control.destinations.update(workspace.id, hook.id, delivery={name: value})
    assert refused.value.field == f"delivery.{name}"
    assert only(control).tuning == Tuning()


def test_filters_and_mappings_reach_the_engine_in_their_order(control, workspace, hook):
    first = control.filters.create(workspace.id, hook.id, title="A", condition='event = "a"', actions=DROP)
    second = control.filters.create(
        workspace.id, hook.id, title="B", condition="all", actions=DROP, enabled=False, description="later"
    )
    mapping = control.subscriptions.create(
        workspace.id, hook.id, name="M", trigger='type = "track"', fields={"properties.a": {"@path": "$.userId"}}
    )
    found = only(control)
    assert found.filters == (
        Filter(first.id, "A", 'event = "a"', DROP, enabled=True),
        Filter(second.id, "B", "all", DROP, enabled=False),
    )
    assert found.mappings == (
        FieldMapping(mapping.id, "M", 'type = "track"', {"properties.a": {"@path": "$.userId"}}, enabled=True),
    )


def test_a_filter_is_changed_in_part_and_judged_as_a_whole(control, workspace, hook):
    made = control.filters.create(workspace.id, hook.id, title="A", condition="all", actions=DROP)
    changed = control.filters.update(workspace.id, hook.id, made.id, condition='type = "page"')
    assert (changed.title, changed.condition, changed.actions) == ("A", 'type = "page"', DROP)
    assert changed.updated_at > made.updated_at
    for change, field in (({"condition": "event ="}, "if"), ({"title": " "}, "title"), ({"actions": []}, "actions")):
        with pytest.raises(InvalidRequestError) as refused:
            control.filters.update(workspace.id, hook.id, made.id, **change)
        assert refused.value.field == field
    assert control.filters.get(workspace.id, hook.id, made.id) == changed


def test_a_wrong_mapping_is_refused_by_the_name_of_what_is_wrong(control, workspace, hook):
    for wrong, field in (
        ({"trigger": "nope("}, "trigger"),
        ({"fields": {"properties.a": {"@nothing": 1}}}, "fields.properties.a"),
        ({"name": " "}, "name"),
    ):
        with pytest.raises(InvalidRequestError) as refused:
            control.subscriptions.create(
                workspace.id, hook.id, **{"name": "M", "trigger": "all", "fields": {"userId": "x"}, **wrong}
            )
        assert refused.value.field == field


def test_a_destination_has_as_many_filters_and_mappings_as_it_may_have(control, workspace, hook):
    for _ in range(10):
        control.filters.create(workspace.id, hook.id, title="A", condition="all", actions=DROP)
    with pytest.raises(ConflictError, match="at most 10 filters"):
        control.filters.create(workspace.id, hook.id, title="A", condition="all", actions=DROP)


def test_what_stands_before_a_destination_goes_with_it(control, workspace, hook, function):
    control.filters.create(workspace.id, hook.id, title="A", condition="all", actions=DROP)
    control.subscriptions.create(workspace.id, hook.id, name="M", trigger="all", fields={"userId": "x"})
    control.insert_functions.create(workspace.id, function.id, hook.id, name="C", settings={"token": "t"})
    control.destinations.delete(workspace.id, hook.id)
    snapshot = control.snapshot()
    assert (snapshot.filters, snapshot.subscriptions, snapshot.inserts) == ((), (), ())
    control.functions.delete(workspace.id, function.id)
    assert control.functions.all(workspace.id) == []


def test_new_code_runs_after_it_is_deployed_and_not_before(control, workspace, hook, function):
    control.insert_functions.create(workspace.id, function.id, hook.id, name="C", settings={"token": "t"}, enabled=True)
    before = only(control)
    changed = control.functions.update(workspace.id, function.id, author="bob", code=CODE + "// 2")
    assert (changed.code, changed.is_latest) == (CODE + "// 2", False)
    assert only(control).inserts[0].code == CODE
    assert only(control).revision == before.revision
    assert control.functions.deploy(workspace.id, function.id).is_latest
    assert only(control).inserts[0].code == CODE + "// 2"
    assert only(control).revision != before.revision


def test_an_earlier_version_is_restored_as_the_newest(control, workspace, function):
    control.functions.update(workspace.id, function.id, author="bob", code=CODE + "// 2")
    second, first = control.functions.versions(workspace.id, function.id)
    assert [(each.number, each.author, each.in_use) for each in (second, first)] == [
        (2, "bob", False),
        (1, "ann", True),
    ]
    again = control.functions.restore(workspace.id, function.id, first.id, author="ann")
    assert (again.number, again.code, again.in_use) == (3, CODE, False)


def test_old_versions_go_and_the_one_in_use_stays(control, workspace, function):
    for number in range(60):
        control.functions.update(workspace.id, function.id, author="bob", code=f"{CODE} // {number}")
    kept = control.functions.versions(workspace.id, function.id)
    assert [each.number for each in kept] == [*range(61, 11, -1), 1]
    assert kept[-1].in_use


def test_secrets_of_a_function_are_sealed_masked_and_open_for_the_engine(control, workspace, hook, function, tmp_path):
    made = control.insert_functions.create(
        workspace.id,
        function.id,
        hook.id,
        name="C",
        settings={"token": "tok-secret-value", "limit": ["a"]},
        enabled=True,
    )
    assert made.settings == {"token": MASKED, "limit": ["a"]}
    assert made.secrets == {"token"}
    control.insert_functions.update(workspace.id, made.id, settings={"token": MASKED, "limit": ["b"]})
    assert only(control).inserts[0].settings == {"token": "tok-secret-value", "limit": ["b"]}
    assert b"tok-secret-value" not in b"".join(path.read_bytes() for path in tmp_path.glob("control.db*"))
    control.functions.update(
        workspace.id, function.id, author="a", definitions=[{**DEFINITIONS[0], "sensitive": False}]
    )
    assert control.insert_functions.get(workspace.id, made.id).settings["token"] == MASKED  # sealed stays hidden


@pytest.mark.parametrize(
    ("settings", "field"),
    [({}, "settings.token"), ({"token": 5}, "settings.token"), ({"token": "t", "x": 1}, "settings.x")],
)
def test_wrong_settings_of_a_function_are_refused_by_name(control, workspace, hook, function, settings, field):
    with pytest.raises(InvalidRequestError) as refused:
        control.insert_functions.create(workspace.id, function.id, hook.id, name="C", settings=settings)
    assert refused.value.field == field


def test_functions_run_in_the_order_that_was_set(control, workspace, hook, function):
    made = [
        control.insert_functions.create(
            workspace.id, function.id, hook.id, name=name, settings={"token": "t"}, enabled=True
        )
        for name in "ABC"
    ]
    control.insert_functions.update(workspace.id, made[0].id, position=9)
    control.insert_functions.update(workspace.id, made[1].id, enabled=False)
    assert [each.name for each in only(control).inserts] == ["C", "A"]


def test_a_function_that_never_ran_cannot_stand_before_a_destination(control, workspace, hook):
    draft = control.functions.create(
        workspace.id, FunctionKind.INSERT_DESTINATION, name="Draft", code=CODE, author="ann"
    )
    with pytest.raises(ConflictError, match="deploy"):
        control.insert_functions.create(workspace.id, draft.id, hook.id, name="C", settings={})
    other = control.functions.create(workspace.id, FunctionKind.SOURCE, name="S", code=CODE, author="ann")
    with pytest.raises(InvalidRequestError, match="INSERT_DESTINATION"):
        control.insert_functions.create(workspace.id, other.id, hook.id, name="C", settings={})


def test_a_function_that_is_used_is_not_deleted(control, workspace, hook, function):
    control.insert_functions.create(workspace.id, function.id, hook.id, name="C", settings={"token": "t"})
    with pytest.raises(ConflictError, match="detach"):
        control.functions.delete(workspace.id, function.id)
    mine = control.functions.create(workspace.id, FunctionKind.DESTINATION, name="D", code=CODE, author="ann")
    control.functions.deploy(workspace.id, mine.id)
    control.destinations.create(workspace.id, "site", "function", settings={"function": mine.id})
    assert set(connections(control.snapshot(), KEY)[1].functions) == {mine.id}
    with pytest.raises(ConflictError, match="runs this function"):
        control.functions.delete(workspace.id, mine.id)


@pytest.mark.parametrize("code", ["", "  ", "x" * 102_401])
def test_code_has_bounds(control, workspace, code):
    with pytest.raises(InvalidRequestError) as refused:
        control.functions.create(workspace.id, FunctionKind.SOURCE, name="S", code=code, author="ann")
    assert refused.value.field == "code"


def test_nothing_of_another_workspace_is_found(control, workspace, hook, function):
    control_filter = control.filters.create(workspace.id, hook.id, title="A", condition="all", actions=DROP)
    instance = control.insert_functions.create(workspace.id, function.id, hook.id, name="C", settings={"token": "t"})
    for call in (
        lambda: control.filters.all("other", hook.id),
        lambda: control.filters.update("other", hook.id, control_filter.id, title="B"),
        lambda: control.filters.delete("other", hook.id, control_filter.id),
        lambda: control.subscriptions.all("other", hook.id),
        lambda: control.functions.get("other", function.id),
        lambda: control.functions.deploy("other", function.id),
        lambda: control.functions.versions("other", function.id),
        lambda: control.functions.delete("other", function.id),
        lambda: control.insert_functions.update("other", instance.id, enabled=True),
        lambda: control.insert_functions.create("other", function.id, hook.id, name="C", settings={}),
    ):
        with pytest.raises(NotFoundError):
            call()
    assert control.functions.all("other") == control.insert_functions.all("other") == []
