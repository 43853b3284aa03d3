"""A source that was deleted: whose its events are is still known, so that people in them can be erased."""

from headwater.app.regulating import Regulating
from headwater.control.service import Control


def reach_of(control: Control, workspace_id: str):
    regulating = Regulating(*[None] * 6, book=None)  # nothing of a data directory is asked
    regulating.use(control.snapshot())
    return regulating.reach(workspace_id, None)


def test_a_deleted_source_stays_its_workspaces(control):
    ours = control.workspaces.all()[0]
    theirs = control.workspaces.create("Other", "other", "us")
    gone = control.sources.create(ours.id, "gone", "http-api")
    foreign = control.sources.create(theirs.id, "gone", "http-api")
    control.sources.delete(ours.id, gone.id)
    control.sources.delete(theirs.id, foreign.id)
    assert reach_of(control, ours.id).sources == {gone.id: gone.schema_name}
    assert reach_of(control, theirs.id).sources == {foreign.id: foreign.schema_name}
    assert not reach_of(control, ours.id).holds(foreign.id)
    assert not reach_of(control, ours.id).holds("nobody knows")
    assert [each.slug for each in control.sources.deleted(ours.id)] == [gone.slug]


def test_who_is_alone_has_what_nobody_knows_any_more(control):
    ours = control.workspaces.all()[0]
    assert reach_of(control, ours.id).holds("deleted long ago")
