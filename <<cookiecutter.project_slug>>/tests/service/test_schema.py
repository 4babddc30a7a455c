"""The service keeps what its own OpenAPI says, asked by a program that reads it (schemathesis)."""

from __future__ import annotations

import tempfile
from pathlib import Path

import schemathesis
import serving
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from schemathesis.specs.openapi.checks import positive_data_acceptance

from << cookiecutter.package_name >>.service import app

QUICK = hypothesis_settings(
    max_examples=10, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)


# Made while the tests are collected: the fixtures of schemathesis ask pytest for a name that pytest 9 does not have.
FOLDER = tempfile.TemporaryDirectory()
schema = schemathesis.openapi.from_asgi(
    "/openapi.json", app.of(serving.serve(serving.train(Path(FOLDER.name))).service)
)


@schema.parametrize()
@QUICK
def test_requests_that_fit_are_answered_and_others_refused_as_described(case: schemathesis.Case) -> None:
    records = case.body.get("records") if isinstance(case.body, dict) else None
    if isinstance(records, list) and len(records) != 1:
        case.query = {}  # explain=true is for one record, for which OpenAPI has no words
    case.call_and_validate()


@schema.include(path_regex="^/v2/models/").parametrize()
@QUICK
def test_the_models_own_name_is_answered_as_described(case: schemathesis.Case) -> None:
    case.path_parameters["name"] = "example"
    if "version" in case.path_parameters:
        case.path_parameters["version"] = serving.ENVIRON["RELEASE_ID"]
    # Which tensors fit depends on the contract, not on the protocol's schema.
    case.call_and_validate(excluded_checks=[positive_data_acceptance])
