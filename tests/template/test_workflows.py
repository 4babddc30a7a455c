"""What the generated workflows promise and no linter knows: who may write, what waits, what is never skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.template_files import render

Workflow = dict[Any, Any]
CALLED = "./.github/workflows/_deploy.yml"


@pytest.fixture(scope="module")
def project(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return render(template, tmp_path_factory.mktemp("workflows"), lock=False, environ=environ)[0]


def text(project: Path, name: str) -> str:
    return (project / ".github" / "workflows" / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def workflows(project: Path) -> dict[str, Workflow]:
    folder = project / ".github" / "workflows"
    return {path.name: yaml.safe_load(text(project, path.name)) for path in folder.glob("*.yml")}


def triggers(workflow: Workflow) -> Any:
    """YAML 1.1 reads the key `on` as true."""
    return workflow[True]


def steps(workflow: Workflow) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", ())]


def test_a_pull_requests_code_meets_no_secret_and_may_write_nothing(
    project: Path, workflows: dict[str, Workflow]
) -> None:
    jobs = workflows["pull-request.yml"]["jobs"]
    assert "secrets." not in text(project, "pull-request.yml")
    assert not [name for name, job in jobs.items() if "environment" in job]
    assert {right for job in jobs.values() for right in job["permissions"].values()} == {"read"}


def test_the_required_check_runs_for_every_change(workflows: dict[str, Workflow]) -> None:
    on = triggers(workflows["pull-request.yml"])
    assert set(on) == {"pull_request", "merge_group"}
    assert not any(on.values()), "a filter would leave the check expected for ever"


def test_the_gate_excuses_what_hangs_on_training_and_nothing_else(workflows: dict[str, Workflow]) -> None:
    jobs = workflows["pull-request.yml"]["jobs"]
    (scope,) = (step for step in jobs["scope"]["steps"] if step.get("id") == "scope")
    hanging = {name for name, job in jobs.items() if "scope.outputs.train == 'true'" in str(job.get("if"))}
    assert set(scope["with"]["jobs"].split()) == hanging
    assert "promotion" not in hanging
    assert set(jobs["gate"]["needs"]) == set(jobs) - {"gate"}


def test_every_environment_has_one_job_that_deploys_it(project: Path, workflows: dict[str, Workflow]) -> None:
    pipeline = yaml.safe_load((project / "environments" / "pipeline.yaml").read_text(encoding="utf-8"))
    calls = [job for job in workflows["deliver.yml"]["jobs"].values() if job.get("uses") == CALLED]
    names = [step["name"] for step in pipeline["environments"]]
    assert sorted(job["with"]["environment"] for job in calls) == sorted(names)
    wanted = workflows["_deploy.yml"]["jobs"]["deploy"]["permissions"]
    assert all(job["permissions"] == wanted for job in calls)


def test_deployments_queue_by_environment_and_read_main_anew(workflows: dict[str, Workflow]) -> None:
    deploy = workflows["_deploy.yml"]["jobs"]["deploy"]
    group = "deploy-${{ inputs.environment }}"
    assert deploy["concurrency"] == {"group": group, "cancel-in-progress": False}
    assert deploy["environment"] == "${{ inputs.environment }}"
    others = [
        str(job.get("concurrency")) + str(workflow.get("concurrency"))
        for workflow in workflows.values()
        for job in workflow["jobs"].values()
        if job is not deploy
    ]
    assert not [said for said in others if "deploy-" in said]
    (checkout,) = (step["with"] for step in deploy["steps"] if "checkout" in step.get("uses", ""))
    assert (checkout["ref"], checkout["fetch-depth"]) == ("main", 0)


def test_nothing_holds_up_a_rollback(workflows: dict[str, Workflow]) -> None:
    """Neither a build nor an ill staging, nor another run of the workflow."""
    deliver = workflows["deliver.yml"]
    assert "needs" not in deliver["jobs"]["production"]
    assert "if" not in deliver["jobs"]["production"]
    assert "concurrency" not in deliver
    assert deliver["jobs"]["staging"]["if"] == "${{ !cancelled() }}"
    assert "schedule" in triggers(deliver), "it makes up for lost events"


def test_training_on_main_may_neither_write_nor_sign(project: Path, workflows: dict[str, Workflow]) -> None:
    model = workflows["deliver.yml"]["jobs"]["model"]
    assert set(model["permissions"].values()) == {"read"}
    assert model["if"] == "needs.find.outputs.release == ''", "files that have a release are not built again"
    trained = [
        name
        for name, job in workflows["deliver.yml"]["jobs"].items()
        if any(step.get("uses") == "./.github/actions/train" for step in job.get("steps", ()))
    ]
    assert trained == ["model"]


def test_what_may_write_restores_no_cache(workflows: dict[str, Workflow]) -> None:
    """What another run stored must not run beside a token that may write."""
    for name, workflow in workflows.items():
        for job in workflow["jobs"].values():
            if "write" not in job["permissions"].values():
                continue
            for step in job.get("steps", ()):
                uses = step.get("uses", "")
                assert "actions/cache" not in uses, name
                if uses.endswith(("actions/setup", "actions/train")):
                    assert step["with"].get("cache") == "false", name


def test_every_action_of_our_own_exists(project: Path, workflows: dict[str, Workflow]) -> None:
    used = {step["uses"] for workflow in workflows.values() for step in steps(workflow) if "uses" in step}
    own = [project / name / "action.yml" for name in used if name.startswith("./.github/actions/")]
    assert len(own) >= 10
    assert [path for path in own if not path.is_file()] == []


def test_the_weekly_look_may_write_nothing_and_keeps_its_token_on_main(
    project: Path, workflows: dict[str, Workflow]
) -> None:
    (job,) = workflows["doctor.yml"]["jobs"].values()
    assert set(job["permissions"].values()) == {"read"}
    assert set(triggers(workflows["doctor.yml"])) == {"schedule", "workflow_dispatch"}
    settings = json.loads(
        (project / ".github" / "settings" / "environments.json").read_text(encoding="utf-8")
    )
    (environment,) = (one for one in settings if one["name"] == job["environment"])
    assert environment["branches"] == ["main"]
