"""Following a run: one line that tells how far it is, patience with a server that restarts, an end."""

import click
import pytest

from headwater.cli import progress


def run(state="running", done=1, **more):
    return {"id": "r", "state": state, "campaigns": {"total": 4, "done": done}, "rows": 0, "calls": 0} | more


BAR = "######.................."


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    monkeypatch.setattr(progress, "_LOOK_S", 0.0)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (run(done=0, etaS=59), "[........................]  0/4 campaigns  0 rows  0 calls  59 s left"),
        (run(rows=12_345, calls=7, etaS=600), f"[{BAR}]  1/4 campaigns  12,345 rows  7 calls  10 min left"),
        (run(done=4, state="done", etaS=9), "[########################]  4/4 campaigns  0 rows  0 calls"),
        (run(state="waiting", message="It is busy."), f"[{BAR}]  1/4 campaigns  0 rows  0 calls  It is busy."),
        (run(campaigns={"total": 0, "done": 0}), "[........................]  0/0 campaigns  0 rows  0 calls"),
    ],
)
def test_a_line_tells_how_far_a_run_is(given, line):
    assert progress.described(given) == line


@pytest.mark.parametrize(("seconds", "told"), [(0.4, "0 s"), (90, "90 s"), (600, "10 min"), (36_000, "10.0 h")])
def test_a_duration_is_told_as_people_say_it(seconds, told):
    assert progress.about(seconds) == told


def test_a_server_that_restarts_is_waited_for(capsys):
    answers = iter([run(), None, None, run(done=3), run(state="done", done=4)])

    def look():
        if (answer := next(answers)) is None:
            raise click.ClickException("Nothing answers.")
        return answer

    assert progress.follow(look, hint="")["state"] == "done"
    assert capsys.readouterr().out == ""


def test_a_server_that_stays_away_ends_the_waiting(monkeypatch):
    monkeypatch.setattr(progress, "_SILENT_S_MAX", 0.0)

    def look():
        raise click.ClickException("Nothing answers.")

    with pytest.raises(click.ClickException, match="Nothing answers"):
        progress.follow(look, hint="")


def test_leaving_says_that_it_goes_on_and_how_to_find_it(capsys):
    def look():
        raise KeyboardInterrupt

    with pytest.raises(click.exceptions.Exit) as left:
        progress.follow(look, hint="See `runs`.")
    assert left.value.exit_code == 1
    assert capsys.readouterr().err == "It goes on in the server. See `runs`.\n"
