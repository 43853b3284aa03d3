"""Every answer that a test gets from a control plane is as its description says."""

import functools
import types
import typing

import msgspec

from described import description
from headwater.control import api
from headwater.control.api.door import Door


class Held:
    """An ASGI app before another; `complaints` names answers that are not as described."""

    def __init__(self, app, routes):
        self._app = app
        self._description = functools.cache(lambda: description(api.described(routes)))
        self.complaints = []

    async def __call__(self, scope, receive, send):
        started, body = {}, bytearray()

        async def noted(message):
            if message["type"] == "http.response.start":
                started.update(message)
            else:
                body.extend(message.get("body", b"")[: 1_000_000 - len(body)])
            await send(message)

        await self._app(scope, receive, noted)
        door = scope.get("endpoint")
        if isinstance(door, Door) and scope["method"] in door.operations and started:
            headers = dict(started["headers"])
            if b"content-disposition" not in headers:  # no file
                path, kind = door.operations[scope["method"]].path, headers[b"content-type"].decode()
                found = self._description().complaints(scope["method"], path, started["status"], kind, bytes(body))
                self.complaints += found

    def verdict(self):
        """Return when every answer so far was as described."""
        assert not self.complaints, "\n".join(self.complaints)


def whole(model, given):
    """Return an answer with every member that its model demands: what is not given is empty."""
    members = {each.encode_name: _empty(each.type) for each in msgspec.structs.fields(model) if each.required}
    return members | given


def _empty(kind):
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return whole(kind, {})
    if isinstance(kind, types.UnionType):
        return None
    return (typing.get_origin(kind) or kind)()
