"""The file of the runs: what a crash finds again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from headwater.errors import ConflictError, NotFoundError
from headwater.sources.activecampaign.history import runs as store
from headwater.sources.activecampaign.history.marks import Look, Mark, Marks
from headwater.sources.activecampaign.history.run import Part, Reading, Run, RunKind, RunState, Spent
from headwater.sources.activecampaign.history.runs import Runs
from headwater.sources.activecampaign.records import CampaignNote, Report

NOW = datetime(2025, 7, 1, 12, tzinfo=UTC)
OPENS, CLICKS = Reading(Report.OPENS, expected=40), Reading(Report.CLICKS, expected=7)
NOTES = [CampaignNote(id="8", name="Spring"), CampaignNote(id="9"), CampaignNote(id="10")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.sqlite"


@pytest.fixture
def runs(path: Path) -> Iterator[Runs]:
    opened = Runs(path)
    yield opened
    opened.close()


def begin(runs: Runs, connection: str = "c1", kind: RunKind = RunKind.BACKFILL) -> Run:
    return runs.begin(connection, "s1", kind, at=NOW, since="", campaigns=())


def test_one_of_a_kind_is_under_way_for_a_connection(runs: Runs) -> None:
    first = begin(runs)
    with pytest.raises(ConflictError, match=first.id):
        begin(runs)
    begin(runs, "c2")
    begin(runs, kind=RunKind.RECONCILIATION)
    runs.change(first.id, state=RunState.DONE)
    assert begin(runs).id != first.id


def test_after_a_crash_a_run_goes_on_at_its_marks(runs: Runs, path: Path) -> None:
    run = begin(runs)
    runs.plan(run.id, [Part(NOTES[0], (OPENS, CLICKS)), Part(NOTES[1], (OPENS,)), Part(NOTES[2], ())], notes=("one",))
    half = msgspec.structs.replace(OPENS, next_page=3, rows=20)
    runs.mark(run.id, (0, 0), half, Spent(rows=20, calls=2, calls_min=2))
    runs.mark(run.id, (1, 0), OPENS, Spent(rows=40, calls=3, calls_min=2), done=True)
    runs.finish_campaign(run.id, 1)
    runs.close()
    again = Runs(path)
    found = again.open_campaigns(run.id)
    assert [(each.note, each.left) for each in found] == [(NOTES[0], ((0, half), (1, CLICKS))), (NOTES[2], ())]
    kept = again.run(run.id)
    assert (kept.planned, kept.total, kept.done, kept.rows, kept.calls, kept.calls_min) == (True, 3, 1, 60, 5, 4)
    assert kept.notes == ("one",)
    assert again.rows_left(run.id) == 20 + 7
    assert [each.id for each in again.unfinished()] == [run.id]
    again.close()


def test_a_run_that_has_ended_stays_as_it_is(runs: Runs) -> None:
    run = begin(runs)
    runs.change(run.id, state=RunState.CANCELLED)
    assert runs.change(run.id, state=RunState.RUNNING).state is RunState.CANCELLED
    assert runs.unfinished() == []
    with pytest.raises(NotFoundError):
        runs.run("backfill-none")


def test_old_runs_are_forgotten_by_kind_with_all_they_read(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RUNS_MAX", 3)
    old = begin(runs)
    runs.plan(old.id, [Part(NOTES[0], (OPENS,))])
    runs.change(old.id, state=RunState.DONE)
    for _ in range(5):
        runs.change(begin(runs, kind=RunKind.RECONCILIATION).id, state=RunState.DONE)
    kinds = [each.kind for each in runs.of("c1", 100)]
    assert kinds.count(RunKind.RECONCILIATION) == 3
    assert kinds.count(RunKind.BACKFILL) == 1
    for _ in range(3):
        runs.change(begin(runs).id, state=RunState.DONE)
    assert runs.readings(old.id) == []


def test_marks_belong_to_a_connection_and_its_source(runs: Runs) -> None:
    marks, other = Marks(runs, "c1", "s1"), Marks(runs, "c1", "s2")
    assert marks.look() is None
    shown = {"id": "8", "sentAt": "2025-06-01T00:00:00+00:00"}
    marks.looked(Look("2025-06-30T00:00:00+00:00", NOW), {("8", Report.OPENS): Mark(40, 2)}, [shown])
    assert marks.look() == Look("2025-06-30T00:00:00+00:00", NOW)
    assert marks.all() == {("8", Report.OPENS): Mark(40, 2)}
    assert marks.comparisons(10) == [shown]
    assert (other.look(), other.all(), other.comparisons(10)) == (None, {}, [])
    marks.forget()
    assert (marks.look(), marks.all(), marks.comparisons(10)) == (None, {}, [])


def test_a_backfill_moves_the_start_back_and_never_forward(runs: Runs) -> None:
    marks = Marks(runs, "c1", "s1")
    marks.looked(Look("2025-06-30T00:00:00+00:00", NOW), {}, [])
    for since in ("2025-07-15T00:00:00+00:00", "2025-01-01T00:00:00+00:00", "2025-03-01T00:00:00+00:00"):
        marks.reaches_back_to(since)
    assert marks.look() == Look("2025-01-01T00:00:00+00:00", NOW)
    marks.reaches_back_to("")
    assert marks.look() == Look("", NOW)
