"""From verdicts to alerts: one message when something begins, one when it grows graver, one when it is over.

What is bad has to be so twice in a row before it is told, and well twice in a row before it is over: what flickers
makes no noise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from headwater.alerts.book import Alert, Book
from headwater.alerts.judging import Facts, Verdict, judge
from headwater.alerts.rules import Rule

HOLD: Final = 2  # ours: looks in a row; with one every 15 s, half a minute

_Key = tuple[str, str, str]
"""Workspace, rule, subject."""


class Watcher:
    """Compares what is found with what is noted; `look` is called at a steady pace by one thread at a time."""

    def __init__(self, book: Book, hold: int = HOLD) -> None:
        self._book, self._hold = book, hold
        self._streaks: dict[_Key, int] = {}  # looks in a row that differ from what is noted

    def look(self, rules: Sequence[Rule], facts: Facts, channels: Mapping[str, str], now: float) -> None:
        """Note what began, grew graver or ended in one workspace.

        Args:
            rules: of the workspace, those that are disabled, too.
            facts: how it does.
            channels: its channels that are enabled, {id: name}.
            now: epoch seconds.
        """
        workspace_id = rules[0].workspace_id
        noted = {(each.rule_id, each.subject_id): each for each in self._book.open_ones(workspace_id)}
        own = _own(rules)
        spoken_of: set[tuple[str, str]] = set()
        for rule in rules:
            if not rule.enabled:
                continue
            told = [each for each in (rule.channel_ids or channels) if each in channels]
            for verdict in judge(rule, facts, own[rule.kind] if not rule.subject_id else frozenset()):
                spoken_of.add((rule.id, verdict.subject_id))
                self._weigh(rule, verdict, noted.get((rule.id, verdict.subject_id)), told, now)
        for key in noted.keys() - spoken_of:
            if self._is_known(noted[key], facts):
                self._book.end(noted[key], (), now)  # deleted or switched off: there is nothing to tell

    def _weigh(self, rule: Rule, verdict: Verdict, alert: Alert | None, channels: Sequence[str], now: float) -> None:
        key = rule.workspace_id, rule.id, verdict.subject_id
        if verdict.is_bad is None or verdict.is_bad is (alert is not None):
            self._streaks.pop(key, None)
        if alert is not None and verdict.is_bad:
            if verdict.step > alert.step:
                self._book.worsen(alert, verdict, channels, now)
            elif verdict.text != alert.text:
                self._book.renew(alert, verdict)
        elif verdict.is_bad is not None and verdict.is_bad is (alert is None):
            self._streaks[key] = self._streaks.get(key, 0) + 1
            if self._streaks[key] < self._hold:
                return
            del self._streaks[key]
            if alert is None:
                self._book.begin(rule, verdict, channels, now)
            else:
                self._book.end(alert, channels, now)

    @staticmethod
    def _is_known(alert: Alert, facts: Facts) -> bool:
        """Whether the facts could have spoken of it: while the pipeline is silent, nothing is over."""
        about = {
            "destination": facts.destinations,
            "warehouse": facts.warehouses,
            "source": facts.accounts if alert.kind == "webhook-inactive" else facts.sources,
        }
        of_kind = {"delivery-rate": "destination", "warehouse-failing": "warehouse"}.get(alert.kind, "source")
        if alert.kind == "conservation-broken":
            return facts.destinations is not None and facts.warehouses is not None
        return about[of_kind] is not None


def _own(rules: Iterable[Rule]) -> defaultdict[str, frozenset[str]]:
    """Return, by kind, the subjects that have a rule of their own."""
    found: defaultdict[str, frozenset[str]] = defaultdict(frozenset)
    for rule in rules:
        if rule.subject_id:
            found[rule.kind] |= {rule.subject_id}
    return found
