"""The stand-in for the pipeline role, as to warehouses: it tells what a test put there, and notes what is asked."""

from answers import whole

from headwater.control.api.models.warehouses import Standing
from headwater.errors import NotFoundError

SCHEMA = "site"


class WarehouseDesk:
    """The part of a pipeline that loads; its host has `_note`, which fails while the role is down."""

    def __init__(self):
        self.loads, self.standings, self.reloaded = [], [], []
        self.is_reachable = True
        self.erasing_fails = ""

    async def sync(self, warehouse_id=None, *, wait=False, **_among):
        self._note("sync", warehouse_id=warehouse_id, wait=wait)
        return {"syncs": []}

    async def syncs(self, warehouse_id=None, count=50, *, among=None):
        self._note("syncs", warehouse_id=warehouse_id, count=count)
        found = [each for each in self.loads if among is None or each["warehouseId"] in among]
        return {"syncs": [each for each in found if warehouse_id in {None, each["warehouseId"]}]}

    async def warehouses(self):
        self._note("warehouses")
        return {"warehouses": [whole(Standing, each) for each in self.standings]}

    async def test_warehouse(self, type_, settings):
        self._note("test_warehouse", type_=type_, settings=dict(settings))
        if self.is_reachable:
            return {"ok": True, "message": "The warehouse answered."}
        return {"ok": False, "message": "The warehouse refuses the password; enter it again."}

    async def reload(self, warehouse_id, **how):
        self._note("reload", warehouse_id=warehouse_id, **how)
        self.reloaded.insert(0, reloading(str(len(self.reloaded) + 1), warehouse_id, **how))
        return {"reload": self.reloaded[0]}

    async def reloads(self, warehouse_id=None, count=50):
        self._note("reloads", warehouse_id=warehouse_id, count=count)
        found = [each for each in self.reloaded if warehouse_id in {None, each["warehouseId"]}]
        over = {"state": "done", "position": 100, "events": 70, "rows": 140}
        self.reloaded = [each | over if each["state"] == "running" else each for each in self.reloaded]
        return {"reloads": found[:count]}

    async def cancel_reload(self, reload_id):
        self._note("cancel_reload", reload_id=reload_id)
        self.reloaded = [each | {"state": "cancelled"} if each["id"] == reload_id else each for each in self.reloaded]
        return {"reload": next(each for each in self.reloaded if each["id"] == reload_id)}

    async def row_trends(self, warehouse_id, days=30):
        self._note("row_trends", warehouse_id=warehouse_id, days=days)
        both = {f"{SCHEMA}.tracks": 20, f"{SCHEMA}.signed_up": 10}
        first = {"day": "2026-11-22", "events": 20, "rows": 30, "failed": 0, "byTable": both}
        second = {"day": "2026-11-23", "events": 0, "rows": 0, "failed": 2, "byTable": {}}
        return {"days": [first, second]}

    async def misfits(self, warehouse_id):
        self._note("misfits", warehouse_id=warehouse_id)
        where = {"schema": SCHEMA, "table": "signed_up", "column": "age", "type": "bigint", "label": "properties.age"}
        when = {"firstAt": "2026-11-22T08:00:00+00:00", "lastAt": "2026-11-23T08:00:00+00:00"}
        return {"misfits": [{**where, **when, "rows": 3, "widened": True}]}

    async def preview_person(self, workspace_id, subjects, source_id=None, *, follows_links=True):
        whom = {"subjects": list(subjects), "source_id": source_id, "follows_links": follows_links}
        self._note("preview_person", workspace_id=workspace_id, **whom)
        linked = [{"kind": kind, "value": value, "isNamed": True} for kind, value in subjects]
        return {"linked": linked, "stores": [{"name": "log.events", "count": 3}], "destinations": []}

    async def begin_regulations(self):
        self._note("begin_regulations")
        return {}

    async def remove_person(self, ids, warehouse_id=None):
        self._note("remove_person", ids=dict(ids), warehouse_id=warehouse_id)
        if warehouse_id is None:
            raise NotFoundError("There is no such warehouse.")
        rows = {} if self.erasing_fails else {f"{SCHEMA}.tracks": 2}
        return {"warehouses": [{"warehouseId": warehouse_id, "rows": rows, "error": self.erasing_fails}]}


def reloading(number, warehouse_id, *, source_ids=None, collections=None, since=None, until=None):
    """Return a reload that has begun."""
    return {
        "id": number,
        "warehouseId": warehouse_id,
        "sourceIds": source_ids or [],
        "collections": collections,
        "since": since,
        "until": until,
        "reason": "asked",
        "first": 0,
        "next": 100,
        "position": 40,
        "state": "running",
        "events": 30,
        "rows": 60,
        "startedAt": since or "2026-11-23T08:00:00+00:00",
        "finishedAt": until,
        "error": "",
        "etaS": 6.0,
    }


def load(number, warehouse_id, status="success", rows=None, notices=(), error=""):
    """Return a sync run."""
    return {
        "id": number,
        "warehouseId": warehouse_id,
        "status": status,
        "startedAt": "2026-11-23T08:00:00+00:00",
        "durationMs": 1_500,
        "first": 0,
        "next": 10,
        "events": 10,
        "filtered": 0,
        "suppressed": 0,
        "missed": 0,
        "rows": rows or {},
        "notices": list(notices),
        "error": error,
        "reload": "",
    }
