"""Whatever reason the engine itself gives, somebody is told what to do about it."""

import ast
from pathlib import Path

import pytest

from headwater import delivery
from headwater.delivery import advice as told
from headwater.delivery import prepared, screen
from headwater.delivery.advice import advice
from headwater.delivery.filters import FILTERED_BY_RULES

HERE = Path(delivery.__file__).parent
MAKERS = {"Retry", "Discarded", "DeliveryError", "RetryableError", "UnauthorizedError", "MappingError"}
FILES = [
    *(HERE / f"{name}.py" for name in ("http", "address", "reach", "attempt", "prepared", "rooms")),
    *HERE.parent.glob("mapping/*.py"),
]
CODES = {
    *(value for name, value in vars(screen).items() if name.isupper() and isinstance(value, str)),
    *(value for name, value in vars(prepared).items() if name.isupper() and isinstance(value, str)),
    FILTERED_BY_RULES,
} - {"NOT_SELECTED"}


def reasons():
    """Yield every literal reason in the engine's own code; what is filled in stands as `x`."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name == "_reason":  # what becomes of the client's errors
                yield from (
                    text for each in ast.walk(node) if isinstance(each, ast.Return) for text in _literal(each.value)
                )
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS and node.args:
                yield from _literal(node.args[0])


def _literal(node):
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "x" for part in parts)


@pytest.mark.parametrize("reason", sorted(set(reasons())))
def test_every_reason_of_the_engine_has_a_next_step_of_its_own(reason):
    assert advice(reason, None) != told._OTHERWISE


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_what_is_kept_out_is_explained(code):
    assert advice(code, None) != told._OTHERWISE


def test_the_reasons_are_found_in_the_code():
    assert len(set(reasons())) >= 15
    assert len(CODES) >= 7


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_leads_to_a_sentence_with_a_step(status):
    assert advice(f"HTTP {status}", status).endswith(".")


def test_a_reason_that_nobody_foresaw_has_a_step_too():
    assert advice("The moon is full.", None) == "Read the reason, mend the cause, then retry or discard."
