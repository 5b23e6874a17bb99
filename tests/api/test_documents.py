"""The OpenAPI document and its pages. That answers keep to it is watched in every test: tests/contract.py."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from leaderboard.errors import CATALOGUE
from tests.client import Client

pytestmark = pytest.mark.any_store

#: The names that clients are generated from; none may ever change.
OPERATIONS = {
    "sign_in", "create_session", "sign_out", "get_player", "put_player", "patch_player", "delete_player",
    "export_player", "list_player_entries", "list_friends", "put_friend", "delete_friend", "put_block",
    "delete_block", "link_friends", "merge_player", "put_identity", "delete_identity", "find_identity",
    "list_boards", "get_board", "submit_score", "submit_batch", "open_attempt", "list_standings", "get_entry",
    "list_around", "list_friends_standings", "lookup_entries", "get_distribution", "list_periods", "put_board",
    "get_board_definition", "delete_board", "reset_board", "put_entry", "delete_entry", "list_keys", "create_key",
    "revoke_key", "get_maintenance", "put_maintenance", "delete_maintenance", "get_liveness", "get_readiness",
    "get_metrics", "list_audit", "list_revisions", "rotate_key",
    "list_bans", "put_ban", "get_ban", "delete_ban",
    "list_reviews", "get_review", "decide_review", "decide_reviews",
}  # fmt: skip


@pytest.fixture
def document(api: Client) -> Any:
    return api.get("/openapi.json")


def test_the_document_is_valid_openapi(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_every_operation_has_its_name(document: Any) -> None:
    found = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(found) == len(set(found))
    assert set(found) == OPERATIONS


def test_every_example_fits_its_schema(document: Any) -> None:
    schemas = document["components"]["schemas"]
    with_examples = [name for name, schema in schemas.items() if "examples" in schema]
    assert len(with_examples) > 15
    for name in with_examples:
        root = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        for example in schemas[name]["examples"]:
            jsonschema_rs.validate(root, example)


def test_enumerations_have_names(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["Policy"]["enum"] == ["best", "latest", "sum"]
    assert schemas["BoardInput"]["properties"]["policy"]["$ref"] == "#/components/schemas/Policy"


def test_every_documented_error_is_in_the_catalogue(document: Any) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) < 400:
                    continue
                for code in response["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"][
                    "enum"
                ]:
                    assert CATALOGUE[code][0] == int(status)


def test_the_pages_name_every_call_and_every_error(api: Client) -> None:
    page = api.call("GET", "/docs").text
    assert all(f'id="{operation}"' in page for operation in OPERATIONS)
    page = api.call("GET", "/docs/errors").text
    assert all(f'id="{code}"' in page for code in CATALOGUE)
