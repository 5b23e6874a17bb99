"""Made-up calls, right and wrong, from the OpenAPI document: none may fail on our side or go undocumented.

A short form runs always; `pytest -m slow` runs it for longer.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.client import ADMIN_KEY, Client

pytestmark = pytest.mark.any_store

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def fuzz(app: Flask, api: Client, examples: int) -> None:
    api.define("main")
    api.submit("alice", 1)
    schema = schemathesis.openapi.from_wsgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 35

    for operation in operations:

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(*(operation.as_strategy(generation_mode=mode) for mode in GenerationMode)))
        def call(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {ADMIN_KEY}"}, checks=CHECKS)

        call()


def test_no_documented_call_fails_on_our_side(app: Flask, api: Client) -> None:
    fuzz(app, api, 8)


@pytest.mark.slow
def test_no_documented_call_fails_on_our_side_for_longer(app: Flask, api: Client) -> None:
    fuzz(app, api, 300)
