"""Two workspaces that look alike: the same slugs, messageIds and people; only the second one's values hold CANARY."""

from dataclasses import dataclass, field

from plane import PipelineDesk, Question, whole
from plane import _replay as replaying
from warehouse_desk import reloading

from headwater.control.accounts import Place
from headwater.control.api.models.warehouses import SyncRun
from headwater.control.models import Role
from headwater.control.people.invites import Wanted
from headwater.errors import NotFoundError
from headwater.eventlog.contract import Topic

CANARY = "Kanarienvogel"
MOMENT = "2026-11-23T08:00:00+00:00"


@dataclass
class World:
    """One workspace with one of everything.

    Attributes:
        ids: by the name that paths give them.
    """

    workspace: object
    token: str
    user_id: str
    ids: dict = field(default_factory=dict)

    def marks(self):
        """Return what nobody elsewhere may see: its ids, its token, its names."""
        ids = {each for each in self.ids.values() if len(str(each)) > 8}
        return {*map(str, ids), self.workspace.id, self.user_id, CANARY.lower()}


def build(running, slug, tag):
    """Return a workspace of `running` that holds one of everything, named by `tag`."""
    control = running.control
    found = [each for each in control.workspaces.all() if each.slug == slug]
    workspace = found[0] if found else control.workspaces.create(f"Workspace {tag}", slug, "us")
    token, entry = control.tokens.create(workspace.id, f"Token {tag}")
    member = control.users.add(workspace.id, f"{tag}@example.com", f"User {tag}", Role.OWNER)
    world = World(workspace, token, member.user.id)

    def made(path, body):
        (answer,) = running.api("POST", path, body, token=token).values()
        return answer["id"] if isinstance(answer, dict) else answer

    ids = world.ids
    settings = {"url": f"https://example.com/{tag}"}
    ids["workspaceId"], ids["tokenId"], ids["userId"] = workspace.id, entry.id, member.user.id
    source = control.sources.create(workspace.id, "site", "http-api", name=f"Source {tag}")
    ids["sourceId"], ids["writeKey"] = source.id, source.write_keys[0]
    name = {"sourceId": "site", "name": f"Destination {tag}", "metadataId": "webhook", "settings": settings}
    ids["destinationId"] = destination = made("/destinations", name)
    rule = {"if": 'type = "track"', "actions": [{"type": "DROP"}], "title": f"Filter {tag}", "enabled": True}
    ids["filterId"] = made(f"/destination/{destination}/filters", rule)
    mapping = {"name": f"Mapping {tag}", "trigger": 'type = "track"', "settings": {"event": tag}, "enabled": True}
    ids["subscriptionId"] = made(f"/destinations/{destination}/subscriptions", mapping)
    code = {"code": f"async function onTrack(event) {{ return event; }} // {tag}", "displayName": f"Function {tag}"}
    function = made("/functions", {**code, "resourceType": "INSERT_DESTINATION"})
    ids["functionId"] = function
    running.api("POST", f"/functions/{function}/deploy", token=token)
    versions = running.api("GET", f"/functions/{function}/versions", token=token)["versions"]
    ids["versionId"] = versions[0]["id"]
    use = {"functionId": function, "integrationId": destination, "name": f"Use {tag}", "settings": {}}
    ids["instanceId"] = made("/insert-function-instances", use)
    ids["warehouseId"] = control.warehouses.all(workspace.id)[0].id
    control.warehouses.update(workspace.id, ids["warehouseId"], name=f"Warehouse {tag}")
    ids["channelId"] = made(
        "/alerts/channels", {"kind": "email", "name": f"Channel {tag}", "recipients": [f"{tag}@example.com"]}
    )
    ids["ruleId"] = made("/alerts/rules", {"kind": "source-silent", "subjectId": source.id})
    plan = {"name": f"Plan {tag}", "type": "LIVE"}
    ids["trackingPlanId"] = made("/tracking-plans", plan)
    control.invites.invite(workspace.id, [Wanted(f"guest-{tag}@example.com", Role.READ_ONLY, None)])
    ids["inviteId"] = control.invites.all(workspace.id)[0].id
    what = {"regulationType": "SUPPRESS_ONLY", "subjectType": "USER_ID", "subjectIds": [f"person-{tag}"]}
    ids["regulationId"] = made("/regulations", what)
    account = control.sources.create(workspace.id, "mail", "activecampaign", name=f"Mail {tag}")
    place = Place(f"https://{tag.lower()}.api-us1.com", tag.lower())
    ids["connectionId"] = control.accounts.connect(workspace.id, place, api_key="k" * 64, source_id=account.id).id
    return world


class HonestDesk(PipelineDesk):
    """A pipeline role that works for several workspaces: it gives what it is asked for, whoever's it is."""

    async def dead_letters(self, destination_id=None, cursor=None, count=50, *, chosen=None):
        wanted = [destination_id] if destination_id else (chosen or {}).get("destinationIds")
        found = (await super().dead_letters(destination_id, cursor, count, chosen=chosen))["deadLetters"]
        return {
            "deadLetters": [each for each in found if wanted is None or each["destinationId"] in wanted],
            "next": None,
        }

    async def unmapped(self, source_id=None, count=50, *, among=None):
        wanted = [source_id] if source_id else among
        return {"unmapped": [each for each in self.stuck if wanted is None or each["sourceId"] in wanted][:count]}

    async def unmapped_one(self, inbox_seq):
        for each in self.stuck:
            if each["inboxSeq"] == inbox_seq:
                return {**each, "contentType": "text/plain", "body": each["reason"]}
        raise NotFoundError(f"No webhook {inbox_seq} waits to be mapped.")

    async def retry_unmapped(self, source_id=None, *, among=None):
        self._note("retry_unmapped", source_id=source_id, among=among)
        return {"mapped": 0, "stillUnmapped": 0}


def at_work(running, first, second):
    """Fill the pipeline role's side of both workspaces: what waits, runs, failed and is being asked."""
    desk = running.pipeline
    desk.__class__ = HonestDesk  # the one that stands in the routes already
    desk.stuck = []
    for number, (world, tag) in enumerate(((first, "plain"), (second, CANARY)), 1):
        ids = world.ids
        ids |= {"deadLetterId": f"{number}", "replayId": f"{number}", "inboxSeq": f"{number}", "runId": "r1"}
        ids |= {"reloadId": f"reload-number-{number}", "queryId": f"query-number-{number}"}
        letter = {"id": f"{number}", "destinationId": ids["destinationId"], "messageId": "m1", "reason": tag}
        letter |= {"sourceId": ids["sourceId"], "diedAt": MOMENT, "firstAt": MOMENT, "body": {"event": tag}}
        desk.letters[f"{number}"] = letter
        desk.states.append(
            {"destinationId": ids["destinationId"], "state": "ok", "reason": tag, "deliveredFirstTry": 1_001}
        )
        desk.runs.append(replaying(number, ids["destinationId"], "done"))
        desk.standings.append({"warehouseId": ids["warehouseId"], "lastError": tag, "state": "failing"})
        run = whole(SyncRun, {"id": number, "warehouseId": ids["warehouseId"], "startedAt": MOMENT, "error": tag})
        desk.loads.append({**run, "status": "failed"})
        desk.reloaded.append({**reloading(ids["reloadId"], ids["warehouseId"]), "error": tag})
        desk.stuck.append({"inboxSeq": number, "sourceId": ids["sourceId"], "reason": tag, "receivedAt": MOMENT})
        running.asking.open.append(Question(ids["queryId"], ids["warehouseId"], f"select '{tag}'"))


async def received(running, first, second):
    """Let both receive events with the same messageIds of the same people, and refuse something of both."""
    for world, tag in ((first, "plain"), (second, CANARY)):
        event = {"type": "track", "event": f"Event {tag}", "messageId": "m1", "userId": "u1", "receivedAt": MOMENT}
        await running.append(world.ids["sourceId"], event)
        refused = {"code": "invalid_event", "message": tag, "receivedAt": MOMENT, "sample": tag, "count": 1}
        await running.append(world.ids["sourceId"], refused, topic=Topic.REJECTED)
    for topic in (Topic.EVENTS, Topic.REJECTED):
        running.volume.catch_up(running.log.end(topic))
