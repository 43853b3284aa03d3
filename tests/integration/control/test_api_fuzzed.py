"""schemathesis reads the document and asks what it allows: nothing breaks, and no answer is undeclared."""

import os

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from plane import starting
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = int(os.environ.get("HEADWATER_TEST_EXAMPLES", "3"))
ENDLESS = "/events/stream"
NEEDED = "abc"  # of every three requests, two are about things that are there


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with starting(tmp_path_factory.mktemp("fuzzed")) as started:
        yield started(requests_per_s=1_000_000)


@pytest.fixture(scope="module")
def there(plane):
    """Return ids of things that are there, by the name of the parameter in a path."""
    source = plane.api("POST", "/sources", {"slug": "site", "enabled": True, "metadataId": "http-api"})["source"]
    wanted = {"sourceId": source["id"], "metadataId": "webhook", "settings": {"url": "https://example.com"}}
    destination = plane.api("POST", "/destinations", wanted)["destination"]["id"]
    function = {"code": "async function onTrack() {}", "displayName": "f", "resourceType": "DESTINATION"}
    (warehouse,) = plane.api("GET", "/warehouses")["warehouses"]
    return {
        "sourceId": source["id"],
        "writeKey": source["writeKeys"][0],
        "destinationId": destination,
        "warehouseId": warehouse["id"],
        "functionId": plane.api("POST", "/functions", function)["function"]["id"],
        "metadataId": "webhook",
    }


def ask(plane, there, operation, examples, *, derandomize):
    """Ask one operation so often, and return when every answer was as described."""

    @hypothesis.given(case=operation.as_strategy(), known=hypothesis.strategies.sampled_from(NEEDED))
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=derandomize,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    def asked(case, known):
        if known != NEEDED[-1]:
            for name in set(case.path_parameters or {}) & set(there):
                case.path_parameters[name] = there[name]
        answer = case.call(headers={"authorization": f"Bearer {plane.tokens['owner']}"}, timeout=30)
        case.validate_response(answer, checks=CHECKS)

    asked()


def run(plane, there, examples, *, derandomize):
    schema = schemathesis.openapi.from_url(f"{plane.url}/openapi.json")
    schema.config.update(base_url=plane.url)
    failed = []
    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        if operation.path.endswith(ENDLESS):
            continue
        ids = {} if operation.method.upper() == "DELETE" else there  # what the others need stays there
        try:
            ask(plane, ids, operation, examples, derandomize=derandomize)
        except (Failure, FailureGroup) as error:
            failed.append(f"{operation.method.upper()} {operation.path}: {error}")
    assert not failed, "\n\n".join(failed)


def test_nothing_that_the_document_allows_breaks_the_api(plane, there):
    run(plane, there, EXAMPLES, derandomize=True)


@pytest.mark.torture
@pytest.mark.timeout(3_600)
def test_nothing_that_the_document_allows_breaks_the_api_for_long(plane, there):
    run(plane, there, 200, derandomize=False)
