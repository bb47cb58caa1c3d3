"""The OpenAPI document and its page, and that the application keeps what the document says."""

from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import one_of
from openapi_spec_validator import OpenAPIV31SpecValidator
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway.problems import KINDS
from tests.gateway.world import World

EXAMPLES = 12


@pytest.fixture(scope="session")
def document(http: httpx2.Client) -> dict[str, object]:
    found: dict[str, object] = http.get("/openapi.json").json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, object]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_the_page_shows_every_operation_and_problem_and_needs_nothing_from_elsewhere(
    http: httpx2.Client, document: dict[str, dict[str, object]]
) -> None:
    page = http.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in document["paths"]:
        assert path in page.text
    for code in KINDS:
        assert f"<code>{code}</code>" in page.text
    assert not re.findall(r"<script|<link|src=|url\(|https?://", page.text)
    for name in re.findall(r'href="#([^"]+)"', page.text):
        assert f'id="{name}"' in page.text


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def test_the_application_answers_as_the_document_says(world: World) -> None:
    """Requests made from the document, right ones and wrong ones, for every operation."""
    schema = schemathesis.openapi.from_url(f"{world.url}/openapi.json")
    headers = {"Authorization": f"Bearer {world.key()}"}
    tried = 0
    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]  # what is no operation raises here.
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        cases = one_of([operation.as_strategy(generation_mode=mode) for mode in modes])

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def conforms(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(headers=headers, checks=CHECKS)

        conforms()
        tried += 1
    assert tried == 20
