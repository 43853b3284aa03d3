"""The page that Segment's documentation places inside ActiveCampaign: the toggle, the write key, the last event.

Beside it what is ours: the webhook's health, back-fill with progress, what ActiveCampaign counts and what is here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import Route

from headwater.control.accounts import TYPE
from headwater.control.catalog import Kind
from headwater.control.connecting import Connecting
from headwater.control.models import AccountEntry, Role
from headwater.errors import (
    ConflictError,
    ForbiddenError,
    HeadwaterError,
    InvalidRequestError,
    LogUnavailableError,
    RetryableError,
)
from headwater.web.standing import State
from headwater.web.visit import Desk, Handler, Visit, action, page

ROOM: Final = ("apps", "activecampaign")
_STATES: Final[Mapping[str, State]] = {
    "off": State("Off", ""),
    "connecting": State("Connecting", "warn"),
    "waiting": State("Waiting for the first event", "warn"),
    "sending": State("Currently sending", "ok"),
    "attention": State("Needs attention", "bad"),
    "unknown": State("Unknown", ""),
}
_FIELDS: Final = {"accountUrl": "account_url", "apiKey": "api_key", "writeKey": "write_key"}
_UNSAID: Final = dict.fromkeys(
    ("lastEvent", "webhook", "lag", "budget", "identities", "backfill", "reconciliation", "warnings")
)
"""What a status lacks while the pipeline role does not answer."""
_NOT_PUBLIC: Final = (
    "This server's address is known only on this machine, so ActiveCampaign cannot send webhooks to it yet. "
    "Set HEADWATER_PUBLIC_URL to an HTTPS address that leads here from the internet."
)
_GOING: Final = frozenset({"waiting", "running"})
_CAMPAIGNS_SHOWN: Final = 100


def routes(desk: Desk) -> list[Route]:
    """Return the routes of the account's page."""
    connecting = Connecting(desk.control, desk.pipeline)
    here = "/{workspace}/" + "/".join(ROOM)
    one = here + "/{account}"
    changes: dict[str, tuple[Callable[[Connecting, Visit, str], Awaitable[Any]], Role]] = {
        "switch": (_switch, Role.SOURCE_ADMIN),
        "write-key": (_write_key, Role.MEMBER),
        "api-key": (_api_key, Role.SOURCE_ADMIN),
        "verify": (_verify, Role.SOURCE_ADMIN),
        "backfill": (_backfill, Role.SOURCE_ADMIN),
        "reconcile": (_reconcile, Role.SOURCE_ADMIN),
        "cancel": (_cancel, Role.SOURCE_ADMIN),
        "rotate-secret": (_rotate_secret, Role.OWNER),
        "disconnect": (_disconnect, Role.OWNER),
    }
    return [
        Route(here, page(desk, _shown(connecting))),
        Route(here + "/connect", action(desk, _connect(connecting)), methods=["POST"]),
        *(
            Route(f"{one}/{name}", action(desk, _changing(connecting, change), needs), methods=["POST"])
            for name, (change, needs) in changes.items()
        ),
    ]


def _shown(connecting: Connecting) -> Handler:
    async def show(visit: Visit) -> Response:
        return await _page(connecting, visit)

    return show


async def alarms(visit: Visit) -> list[tuple[str, str]]:
    """Return (text, address) of each connection that needs somebody; nothing while nobody can be asked."""
    entries = await asyncio.to_thread(visit.desk.control.accounts.all, visit.workspace.id)
    connecting = Connecting(visit.desk.control, visit.desk.pipeline)
    found = await asyncio.gather(*(connecting.status_of(entry) for entry in entries))
    return [
        (f"ActiveCampaign, {each['account']}: {each['message']}", visit.path(*ROOM))
        for each in found
        if each["state"] == "attention"
    ]


async def _page(
    connecting: Connecting,
    visit: Visit,
    *,
    values: Mapping[str, str] | None = None,
    error: HeadwaterError | None = None,
    of: str = "",
) -> Response:
    control = visit.desk.control
    entries = await asyncio.to_thread(control.accounts.all, visit.workspace.id)
    sources = await asyncio.to_thread(control.sources.all, visit.workspace.id)
    accounts = await asyncio.gather(*(_account(connecting, visit, entry) for entry in entries))
    usable = [source for source in sources if source.enabled and source.region_allowed]
    region_problem = control.catalog.find(Kind.SOURCE, TYPE).why_not(visit.workspace.region)
    field = _FIELDS.get(getattr(error, "field", ""), "")
    return visit.page(
        "activecampaign.html",
        accounts=accounts,
        sources=usable,
        can_connect=bool(usable) and not region_problem,
        region_problem=region_problem,
        public_problem="" if visit.desk.is_public else _NOT_PUBLIC,
        values=values or {},
        problems={field: str(error)} if field else {},
        problem="" if field or error is None else str(error),
        of=of,
        status=422 if error else 200,
    )


async def _account(connecting: Connecting, visit: Visit, entry: AccountEntry) -> dict[str, Any]:
    status: dict[str, Any] = {**_UNSAID, **await connecting.status_of(entry)}
    last, webhook = status["lastEvent"], status["webhook"] or {}
    return {
        "status": status,
        "state": _STATES.get(status["state"], _STATES["unknown"]),
        "needs_key": status["state"] == "attention" and webhook.get("state") == "unknown",
        "last_at": datetime.fromisoformat(last["at"]) if last else None,
        "checked_at": _moment(webhook.get("checkedAt")),
        "runs": [_run(status[kind]) for kind in ("backfill", "reconciliation") if status[kind]],
        "campaigns": await _campaigns(visit, entry.id),
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    done, total = run["campaigns"]["done"], run["campaigns"]["total"]
    return {
        **run,
        "going": run["state"] in _GOING,
        "percent": min(100 * done // total, 100) if total else 0,
        "started_at": _moment(run.get("startedAt")),
        "ended_at": _moment(run.get("endedAt")),
    }


async def _campaigns(visit: Visit, account_id: str) -> list[dict[str, Any]]:
    try:
        found = await visit.desk.pipeline.account_reconciliation(account_id)
    except HeadwaterError:  # said above already, in the state
        return []
    shown = found["campaigns"][:_CAMPAIGNS_SHOWN]
    return [{**each, "checked_at": _moment(each.get("checkedAt"))} for each in shown]


def _connect(connecting: Connecting) -> Handler:
    async def connect(visit: Visit) -> Response:
        """Connect the account; what was typed wrong is shown where it was typed."""
        form = visit.form
        try:
            await connecting.connect(
                visit.workspace.id,
                account_url=form.get("account_url", ""),
                api_key=form.get("api_key", ""),
                write_key=form.get("write_key", ""),
            )
        except (InvalidRequestError, ForbiddenError, ConflictError, RetryableError, LogUnavailableError) as error:
            typed = {name: form.get(name, "") for name in ("account_url", "write_key")}
            return await _page(connecting, visit, values=typed, error=error, of="connect")
        return visit.to(*ROOM)

    return connect


def _changing(connecting: Connecting, change: Callable[[Connecting, Visit, str], Awaitable[Any]]) -> Handler:
    async def changed(visit: Visit) -> Response:
        account_id = visit.request.path_params["account"]
        try:
            await change(connecting, visit, account_id)
        except (InvalidRequestError, ForbiddenError, ConflictError, RetryableError, LogUnavailableError) as error:
            return await _page(connecting, visit, error=error, of=account_id)
        return visit.to(*ROOM)

    return changed


async def _switch(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.change(visit.workspace.id, account_id, enabled=visit.form.get("enabled") == "true")


async def _write_key(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.change(visit.workspace.id, account_id, write_key=visit.form.get("write_key", ""))


async def _api_key(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.change(visit.workspace.id, account_id, api_key=visit.form.get("api_key", ""))


async def _verify(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.verify(visit.workspace.id, account_id)


async def _backfill(_: Connecting, visit: Visit, account_id: str) -> None:
    await _known(visit, account_id)
    await visit.desk.pipeline.account_backfill(account_id, since=_since(visit.form.get("since", "")))


def _since(text: str) -> str | None:
    """Return the start of a day in UTC as ISO 8601, None for all of the history."""
    if not text.strip():
        return None
    try:
        day = date.fromisoformat(text.strip())
    except ValueError as error:
        raise InvalidRequestError("Write the date as YYYY-MM-DD, such as 2026-01-31.", field="since") from error
    return datetime(day.year, day.month, day.day, tzinfo=UTC).isoformat()


async def _reconcile(_: Connecting, visit: Visit, account_id: str) -> None:
    await _known(visit, account_id)
    await visit.desk.pipeline.account_reconcile(account_id)


async def _cancel(_: Connecting, visit: Visit, account_id: str) -> None:
    await _known(visit, account_id)
    await visit.desk.pipeline.account_cancel(account_id, visit.form.get("run", ""))


async def _rotate_secret(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.rotate_secret(visit.workspace.id, account_id)


async def _disconnect(connecting: Connecting, visit: Visit, account_id: str) -> None:
    await connecting.disconnect(visit.workspace.id, account_id)


async def _known(visit: Visit, account_id: str) -> None:
    """Return if the workspace has this account; the pipeline role knows those of all workspaces.

    Raises:
        NotFoundError: it has not.
    """
    await asyncio.to_thread(visit.desk.control.accounts.get, visit.workspace.id, account_id)
