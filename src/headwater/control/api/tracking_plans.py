"""`/tracking-plans`: Segment's operations on plans, their rules and their sources."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from headwater.control.api import shapes
from headwater.control.api.door import Answer, Asked, Operation, Query
from headwater.control.api.models import Done
from headwater.control.api.models import protocols as models
from headwater.control.api.models.sources import Sources
from headwater.control.api.paging import Pager
from headwater.control.api.parameters import whole
from headwater.control.api.schema import violation_shape
from headwater.control.models import Role
from headwater.control.moments import text_of
from headwater.control.protocols.plans import PlanEntry
from headwater.control.protocols.rules import RULES_MAX, UPDATE_MAX, Draft, RuleEntry, RuleKey
from headwater.control.protocols.seen import plan_of
from headwater.control.service import Control
from headwater.errors import InvalidRequestError
from headwater.limits import MIB
from headwater.observing.seen import DAYS_MAX, Seen
from headwater.protocols.rules import NAMED, Kind

RULES_BYTES_MAX: Final = 16 * MIB  # ours: a plan is one request
_RULE: Final = re.compile(r"rules\[(?P<place>[0-9]{1,4})\]\[(?P<member>type|key|version)\]")
_DAYS: Final = whole("days", "How many days back; 7 by default.", 1, DAYS_MAX)
_REMOVED: Final = Query("rules", "Rules as `rules[0][type]`, `rules[0][key]`, `rules[0][version]`.", required=True)
_SOURCE: Final = Query("sourceId", "The source that is let go.", required=True)
_FROM: Final = Query("fromSource", "A source whose events the plan begins with.")


class CreatePlan(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /tracking-plans` takes."""

    name: str
    type: str
    description: str = ""


class UpdatePlan(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /tracking-plans/{trackingPlanId}` takes."""

    name: str | UnsetType = UNSET
    description: str | UnsetType = UNSET


class RuleInput(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A rule; `createdAt` and the like may be sent back as they were answered, and are not read."""

    type: str
    json_schema: Any
    version: int
    key: str = ""
    created_at: str | UnsetType = UNSET
    updated_at: str | UnsetType = UNSET
    deprecated_at: str | UnsetType = UNSET


class ReplaceRules(msgspec.Struct, forbid_unknown_fields=True):
    """What `PUT /tracking-plans/{trackingPlanId}/rules` takes."""

    rules: list[RuleInput]


class UpsertRule(RuleInput, forbid_unknown_fields=True, rename="camel"):
    """A rule that is added or changed; `newKey` is what its event is called from now on."""

    new_key: str = ""


class UpdateRules(msgspec.Struct, forbid_unknown_fields=True):
    """What `PATCH /tracking-plans/{trackingPlanId}/rules` takes."""

    rules: list[UpsertRule]


class AddSource(msgspec.Struct, forbid_unknown_fields=True):
    """What `POST /tracking-plans/{trackingPlanId}/sources` takes."""

    sourceId: str  # noqa: N815 - Segment's spelling


class TrackingPlanOperations:
    """Everything under `/tracking-plans`."""

    def __init__(self, control: Control, pager: Pager, seen: Seen) -> None:
        self._control, self._pager, self._seen = control, pager, seen

    def operations(self) -> list[Operation]:
        """Return the operations with the role each needs."""
        many, one = "/tracking-plans", "/tracking-plans/{trackingPlanId}"
        read, write = Role.READ_ONLY, Role.MEMBER
        return [
            Operation("GET", many, read, self.list, answer=models.TrackingPlans, paged=True),
            Operation("POST", many, write, self.create, CreatePlan, answer=models.OneTrackingPlan, query=(_FROM,)),
            Operation("GET", one, read, self.get, answer=models.OneTrackingPlan),
            Operation("PATCH", one, write, self.update, UpdatePlan, answer=Done),
            Operation("DELETE", one, write, self.delete, answer=Done),
            Operation("GET", f"{one}/rules", read, self.rules, answer=models.Rules, paged=True),
            Operation(
                "PUT",
                f"{one}/rules",
                write,
                self.replace_rules,
                ReplaceRules,
                answer=Done,
                body_bytes_max=RULES_BYTES_MAX,
            ),
            Operation(
                "PATCH",
                f"{one}/rules",
                write,
                self.update_rules,
                UpdateRules,
                answer=Done,
                body_bytes_max=RULES_BYTES_MAX,
            ),
            Operation("DELETE", f"{one}/rules", write, self.remove_rules, answer=Done, query=(_REMOVED,)),
            Operation("GET", f"{one}/sources", read, self.sources, answer=Sources, paged=True),
            Operation("POST", f"{one}/sources", write, self.add_source, AddSource, answer=Done),
            Operation("DELETE", f"{one}/sources", write, self.remove_source, answer=Done, query=(_SOURCE,)),
            Operation(
                "GET",
                f"{one}/violations",
                read,
                self.violations,
                answer=models.Violations,
                query=(_DAYS,),
                paged=True,
            ),
        ]

    def list(self, asked: Asked) -> Answer:
        """Return a page of tracking plans, oldest first."""
        found = self._control.tracking_plans.all(asked.caller.workspace_id)
        page, pagination = self._pager.page(asked, "tracking-plans", found, _position)
        return {"trackingPlans": [_shape(plan) for plan in page], "pagination": pagination}

    def create(self, asked: Asked) -> Answer:
        """Make a tracking plan, empty or, with `fromSource`, of what a source has sent."""
        wanted: CreatePlan = asked.body
        workspace_id, key = asked.caller.workspace_id, asked.query.get("fromSource")
        source = self._control.sources.get(workspace_id, key) if key else None
        drafts = drafts_of(plan_of(self._seen, source.id)[:RULES_MAX]) if source else []
        plan = self._control.tracking_plans.create(workspace_id, wanted.name, wanted.description, wanted.type, drafts)
        return {"trackingPlan": _shape(plan)}

    def get(self, asked: Asked) -> Answer:
        """Return one tracking plan."""
        return {"trackingPlan": _shape(self._plan(asked))}

    def update(self, asked: Asked) -> Answer:
        """Change a tracking plan's name or description."""
        given = msgspec.structs.asdict(asked.body)
        change = {name: value for name, value in given.items() if value is not UNSET}
        self._control.tracking_plans.update(asked.caller.workspace_id, asked.path["trackingPlanId"], **change)
        return {"status": "SUCCESS"}

    def delete(self, asked: Asked) -> Answer:
        """Delete a tracking plan; its sources are held against nothing from now on."""
        self._control.tracking_plans.delete(asked.caller.workspace_id, asked.path["trackingPlanId"])
        return {"status": "SUCCESS"}

    def rules(self, asked: Asked) -> Answer:
        """Return a page of a plan's rules, by type, key and version."""
        plan = self._plan(asked)
        found = self._control.tracking_plans.rules(asked.caller.workspace_id, plan.id)
        page, pagination = self._pager.page(asked, f"tracking-plans/{plan.id}/rules", found, _rule_position)
        return {"rules": [rule_shape(each) for each in page], "pagination": pagination}

    def replace_rules(self, asked: Asked) -> Answer:
        """Let a plan have these rules only."""
        drafts = [_draft(each) for each in asked.body.rules]
        self._control.tracking_plans.replace_rules(asked.caller.workspace_id, asked.path["trackingPlanId"], drafts)
        return {"status": "SUCCESS"}

    def update_rules(self, asked: Asked) -> Answer:
        """Add rules to a plan, or change those that are there; at most 200 at once."""
        drafts = [_draft(each, each.new_key) for each in asked.body.rules]
        self._control.tracking_plans.update_rules(asked.caller.workspace_id, asked.path["trackingPlanId"], drafts)
        return {"status": "SUCCESS"}

    def remove_rules(self, asked: Asked) -> Answer:
        """Take rules out of a plan; all that are named or none."""
        keys = _removed(asked)
        self._control.tracking_plans.remove_rules(asked.caller.workspace_id, asked.path["trackingPlanId"], keys)
        return {"status": "SUCCESS"}

    def sources(self, asked: Asked) -> Answer:
        """Return a page of the sources that are held against a plan."""
        plan = self._plan(asked)
        all_ = self._control.sources.all(asked.caller.workspace_id)
        found = [source for source in all_ if source.id in plan.source_ids]
        listed = f"tracking-plans/{plan.id}/sources"
        page, pagination = self._pager.page(asked, listed, found, lambda each: f"{text_of(each.created_at)} {each.id}")
        told = [shapes.source(source, self._control.catalog, asked.caller) for source in page]
        return {"sources": told, "pagination": pagination}

    def add_source(self, asked: Asked) -> Answer:
        """Hold a source's events against a plan."""
        plan_id, wanted = asked.path["trackingPlanId"], asked.body.sourceId
        self._control.tracking_plans.connect(asked.caller.workspace_id, plan_id, wanted)
        return {"status": "SUCCESS"}

    def remove_source(self, asked: Asked) -> Answer:
        """Hold a source's events against a plan no more."""
        plan_id, key = asked.path["trackingPlanId"], asked.query.get("sourceId", "")
        if not key:
            raise InvalidRequestError("sourceId is required", field="sourceId")
        self._control.tracking_plans.disconnect(asked.caller.workspace_id, plan_id, key)
        return {"status": "SUCCESS"}

    def violations(self, asked: Asked) -> Answer:
        """Return a page of what did not fit a plan, over all of its sources."""
        plan, days = self._plan(asked), asked.whole("days", 7, 1, DAYS_MAX)
        found = list(enumerate(self._seen.violations(plan.source_ids, days)))
        listed = f"tracking-plans/{plan.id}/violations"
        page, pagination = self._pager.page(asked, listed, found, lambda each: f"{each[0]:06d}")
        trend = [{"day": day, "count": count} for day, count in self._seen.trend(plan.source_ids, days)]
        told = [violation_shape(source_id, each) for _, (source_id, each) in page]
        return {"violations": told, "trend": trend, "pagination": pagination}

    def _plan(self, asked: Asked) -> PlanEntry:
        return self._control.tracking_plans.get(asked.caller.workspace_id, asked.path["trackingPlanId"])


def _shape(plan: PlanEntry) -> dict[str, Any]:
    return {
        "id": plan.id,
        "slug": plan.slug,
        "name": plan.name,
        "description": plan.description,
        "type": plan.type,
        "createdAt": text_of(plan.created_at),
        "updatedAt": text_of(plan.updated_at),
    }


def rule_shape(entry: RuleEntry) -> dict[str, Any]:
    """Return a rule as the API shows it; only those of named calls have a key."""
    told = {"type": entry.rule.type, "jsonSchema": entry.schema, "version": entry.rule.version}
    told |= {"createdAt": entry.created_at, "updatedAt": entry.updated_at}
    return told | ({"key": entry.rule.key} if Kind(entry.rule.type) in NAMED else {})


def drafts_of(rules: Any) -> list[Draft]:
    """Return rules that were read from a file or made of what was seen.

    Raises:
        InvalidRequestError: they are no rules.
    """
    try:
        return [_draft(each) for each in msgspec.convert(rules, list[RuleInput])]
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"These are no rules: {error}", field="rules") from None


def _draft(rule: RuleInput, new_key: str = "") -> Draft:
    return Draft(RuleKey(rule.type, rule.key, rule.version), rule.json_schema, new_key)


def _removed(asked: Asked) -> list[RuleKey]:
    """Return the rules that a query names, in the form of Segment's SDK."""
    found: dict[int, dict[str, str]] = {}
    for name, value in asked.query.multi_items():
        if member := _RULE.fullmatch(name):
            found.setdefault(int(member["place"]), {})[member["member"]] = value
    if not 1 <= len(found) <= UPDATE_MAX:
        told = f"Name 1 to {UPDATE_MAX} rules: rules[0][type]=TRACK&rules[0][key]=...&rules[0][version]=1"
        raise InvalidRequestError(told, field="rules")
    for place, rule in found.items():
        if not re.fullmatch(r"[0-9]{1,9}", rule.get("version", "")):
            raise InvalidRequestError("version is a whole number", field=f"rules.{place}.version")
    return [RuleKey(rule.get("type", ""), rule.get("key", ""), int(rule["version"])) for rule in found.values()]


def _position(plan: PlanEntry) -> str:
    return f"{text_of(plan.created_at)} {plan.id}"


def _rule_position(entry: RuleEntry) -> str:
    return f"{entry.rule.type}\0{entry.rule.key}\0{entry.rule.version:07d}"
