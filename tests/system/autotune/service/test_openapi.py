"""The REST interface held against its own description, by requests that schemathesis makes up."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from autotune.service.application import make_application
from autotune.service.service import Access, open_service
from autotune.service.service_folder import ServiceFolder
from autotune.service.token_documents import Scope

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)

SETTINGS = settings(
    max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    """The description of a service in this process."""
    folder = ServiceFolder(tmp_path_factory.mktemp("api") / "service")
    service = open_service(folder, access=Access(("testserver", "localhost", "127.0.0.1")))
    secret = service.tokens.create("fuzz", tuple(Scope)).secret
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", make_application(service))
    schema.config.update(headers={"Authorization": f"Bearer {secret}"})
    return schema


@pytest.mark.long
def test_answers_are_as_described(api: schemathesis.BaseSchema) -> None:
    names = []
    for found in api.get_all_operations():
        operation = found.ok()
        if operation.path.endswith("/events"):
            continue  # a stream ends with its job

        @settings(
            max_examples=60,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS)

        check()
        names.append(operation.label)
    assert len(names) > 20
