"""The page of privacy: found, suppressed, deleted after a confirmation, exported, taken back, with a receipt."""

import re
import urllib.error

import pytest

from headwater.privacy.regulation import Status
from headwater.regulations.receipt import Receipt, StoreResult
from headwater.regulations.searching import Searched


@pytest.fixture
def ask(page):
    csrf = re.search(r'name="csrf" value="([^"]+)"', page("/privacy")).group(1)

    def asked(path, **form):
        return page(f"/privacy/{path}", csrf=csrf, **form)

    return asked


ANN = {"kind": "EMAIL", "ids": "Ann@x.org\n"}


def test_a_person_is_found_and_suppressed_and_let_in_again(page, ask, running):
    assert "Nobody has asked yet" in page("/privacy")
    shown = ask("find", **ANN)
    assert "ann@x.org" in shown
    assert "log.events" in shown
    assert "Suppress and delete" in ask("ask", type="SUPPRESS_WITH_DELETE", sure="on", **ANN)
    assert "1 identifier suppressed" in page("/privacy")
    assert "End the suppression" in ask("find", **ANN)
    ask("ask", type="UNSUPPRESS", **ANN)
    assert running.control.suppressions.count(running.workspace.id) == 0


def test_nothing_is_deleted_unless_it_is_meant(ask, running):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("ask", type="DELETE_ONLY", **ANN)
    assert "cannot be brought back" in refused.value.read().decode()
    many = {"kind": "USER_ID", "ids": "\n".join(f"u{number}" for number in range(101))}
    assert "Type the number of people" in ask("find", **many)
    with pytest.raises(urllib.error.HTTPError):
        ask("ask", type="DELETE_ONLY", sure="on", confirm="100", **many)
    assert running.control.regulations.all(running.workspace.id) == []
    assert "Take back" in ask("ask", type="DELETE_ONLY", sure="on", confirm="101", **many)
    (made,) = running.control.regulations.all(running.workspace.id)
    ask(f"{made.id}/undo")
    assert running.control.regulations.all(running.workspace.id) == []


def test_a_receipt_is_shown(page, ask, running):
    ask("ask", type="DELETE_ONLY", sure="on", **ANN)
    (made,) = running.control.regulations.all(running.workspace.id)
    assert "Not begun yet" in page(f"/privacy/{made.id}")
    receipt = Receipt(linked={"email": 1, "user": 0}, stores=[StoreResult("log.events", Status.FINISHED, 12, 12, 0)])
    receipt.note_search(Searched(40, 4_096, 1, {}))
    running.control.regulations.note(made.id, Status.FINISHED, receipt.shape())
    shown = page(f"/privacy/{made.id}")
    assert "nothing of them is left" in shown
    assert "ann@x.org" not in shown.lower()


def test_what_is_no_address_is_told_in_the_form(ask):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask("find", kind="EMAIL", ids="ann")
    assert "has an @" in refused.value.read().decode()
