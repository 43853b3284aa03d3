"""Holds answers of the API against its OpenAPI document: nothing missing, of another type or undeclared."""

import copy
import functools
import hashlib
import json
import re

import jsonschema_rs

_OF_NO_OPERATION = {405, 500}  # a method that is none, and a defect


class Description:
    """The document of one API; objects may hold nothing but what they declare."""

    def __init__(self, document):
        self._document = _strict(document)
        self._places = [
            (path, re.compile(re.sub(r"\\{.*?\\}", "[^/]+", re.escape(path)))) for path in document["paths"]
        ]
        self._places.sort(key=lambda place: place[0].count("{"))
        self._validators = {}

    def complaints(self, method, path, status, kind, body):
        """Return what of an answer is not as described, as sentences.

        Args:
            path: under the API's base, without query; with ids, or as the document writes it.
            kind: its media type.
        """
        place = next((each for each, form in self._places if each == path or form.fullmatch(path)), None)
        told = self._document["paths"].get(place, {}).get(method.lower())
        if told is None or status in _OF_NO_OPERATION:
            return []
        where = f"{method} {place} {status}"
        if str(status) not in told["responses"]:
            return [f"{where}: not described; {body[:300]!r}"]
        if kind.partition(";")[0] != "application/json":
            return []
        validator = self._validator(where, told["responses"][str(status)])
        return [f"{where}: {error.message}; {body[:600]!r}" for error in validator.iter_errors(json.loads(body))]

    def _validator(self, where, told):
        if where not in self._validators:
            components = self._document["components"]
            if "$ref" in told:
                told = components["responses"][told["$ref"].rpartition("/")[2]]
            schema = told["content"]["application/json"]["schema"]
            self._validators[where] = jsonschema_rs.validator_for({**schema, "components": components})
        return self._validators[where]


def description(document):
    """Return the description of a document; the same one for the same document."""
    written = json.dumps(document, sort_keys=True)
    return _known(hashlib.sha256(written.encode()).hexdigest(), written)


@functools.lru_cache(maxsize=4)
def _known(_digest, written):
    return Description(json.loads(written))


def _strict(document):
    found = copy.deepcopy(document)
    schemas = [*found["components"]["schemas"].values()]
    for path in found["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                schemas += [content["schema"] for content in response.get("content", {}).values()]
    for schema in schemas:
        if "properties" in schema:
            schema["additionalProperties"] = False
    return found
