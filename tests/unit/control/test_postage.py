"""How much mail is sent in the operator's name: by a workspace, and to one address."""

from datetime import UTC, datetime, timedelta

from headwater.control.people.invites import _MAILED_TO_ONE_MAX, Invites, Post, Wanted
from headwater.control.postage import WINDOW, Postage
from headwater.control.service import open_control

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def test_a_workspace_and_an_address_have_so_many_messages_a_day():
    postage = Postage(of_workspace=3, to_address=2)
    sent = [postage.admit("w", [f"p{number}@example.com"], NOON) for number in range(4)]
    assert sent == [True, True, True, False]
    assert postage.admit("other", ["P0@example.com "], NOON)  # the second for this address, from elsewhere
    assert not postage.admit("third", ["p0@example.com", "new@example.com"], NOON)
    assert postage.admit("third", ["new@example.com"], NOON)  # what was refused is not counted
    assert not postage.admit("w", ["p9@example.com"], NOON + WINDOW - timedelta(seconds=1))
    assert postage.admit("w", ["p9@example.com"], NOON + WINDOW)


def test_what_is_remembered_of_mail_is_bounded():
    postage = Postage(1, 1)
    for number in range(12_000):
        postage.admit(f"w{number}", [], NOON)
    assert len(postage._sent) == 10_000


def test_nobody_is_mailed_on_and_on_by_invitations_and_the_link_is_shown_all_the_same(tmp_path):
    control, mailed = open_control(f"sqlite:///{tmp_path}/control.db", b"k" * 32), []

    class Mail:
        def send(self, recipients, _subject, _text):
            mailed.extend(recipients)

    workspace = control.workspaces.first_start("us")
    invites = Invites(control._engine, lambda: NOON, Post("https://hw.example", Mail()))
    sent = [invites.invite(workspace.id, [Wanted("vic@example.com", "member")])[0] for _ in range(8)]
    assert [each.is_mailed for each in sent] == [True] * _MAILED_TO_ONE_MAX + [False] * 3
    assert mailed == ["vic@example.com"] * _MAILED_TO_ONE_MAX
    assert invites.find(sent[-1].link.rpartition("/")[2]).email == "vic@example.com"
    control.close()
