"""What the generated workflows promise and no linter knows: who may write, what waits, what is never skipped."""

from __future__ import annotations

import json
import re
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


def test_a_pull_requests_code_meets_no_secret_and_may_write_nothing(workflows: dict[str, Workflow]) -> None:
    jobs = dict(workflows["pull-request.yml"]["jobs"])
    fetch = jobs.pop("fetch")
    assert "secrets." not in str(jobs)
    assert not [name for name, job in jobs.items() if "environment" in job]
    assert {right for job in jobs.values() for right in job["permissions"].values()} == {"read"}
    assert fetch["permissions"] == {"contents": "read", "id-token": "write"}
    assert "environment" not in fetch


def test_the_job_with_a_right_to_the_data_runs_what_is_on_main(workflows: dict[str, Workflow]) -> None:
    """Main lies in the workspace, whence actions and packages come; the pull request lies below it, to be read."""
    fetch = workflows["pull-request.yml"]["jobs"]["fetch"]
    places = [
        (step["with"].get("path", "."), step["with"]["ref"])
        for step in fetch["steps"]
        if "actions/checkout" in step.get("uses", "")
    ]
    assert places[0] == (".", "main")
    assert [path for path, _ in places[1:]] == ["named/head", "named/merge-base"]
    assert not [
        step for step in fetch["steps"] if "run" in step or "working-directory" in step.get("with", {})
    ]
    (setup,) = (step["with"] for step in fetch["steps"] if step.get("uses", "").endswith("actions/setup"))
    assert setup == {"command": "uv sync --locked --only-group dvc", "cache": "false"}
    (data,) = (
        step["with"] for step in fetch["steps"] if step.get("uses", "").endswith("actions/data-remote")
    )
    assert "command" not in data
    assert data["pointers"] == "named"


def test_only_main_may_write_to_the_data(workflows: dict[str, Workflow]) -> None:
    deliver = workflows["deliver.yml"]
    asking = {
        name: job.get("environment")
        for name, job in deliver["jobs"].items()
        if any("data-remote" in step.get("uses", "") for step in job.get("steps", ()))
    }
    assert asking == {"data": None, "store": "data"}
    for name in asking:
        runs = [step["run"] for step in deliver["jobs"][name]["steps"] if "run" in step]
        assert not [run for run in runs if "train" in run or "setup" in run], (
            "no code of the project runs here"
        )


def test_what_comes_after_a_job_that_may_be_skipped_says_when_it_runs(workflows: dict[str, Workflow]) -> None:
    """GitHub skips whatever has a skipped job before it, at any distance, unless its condition names a status."""
    for name, first in (("pull-request.yml", "fetch"), ("deliver.yml", "data")):
        jobs = workflows[name]["jobs"]
        after, found = {first}, True
        while found:
            found = {job for job, value in jobs.items() if job not in after and after & needs(value)}
            after |= found
        assert len(after) > 3
        silent = [
            job
            for job in after - {first}
            if not re.search(r"!cancelled\(\)|always\(\)", str(jobs[job]["if"]))
        ]
        assert silent == []


def needs(job: dict[str, Any]) -> set[str]:
    named = job.get("needs", [])
    return {named} if isinstance(named, str) else set(named)


def test_the_required_check_runs_for_every_change(workflows: dict[str, Workflow]) -> None:
    on = triggers(workflows["pull-request.yml"])
    assert set(on) == {"pull_request", "merge_group"}
    assert not any(on.values()), "a filter would leave the check expected for ever"


def test_the_gate_excuses_what_hangs_on_training_and_nothing_else(workflows: dict[str, Workflow]) -> None:
    jobs = workflows["pull-request.yml"]["jobs"]
    (scope,) = (step for step in jobs["scope"]["steps"] if step.get("id") == "scope")
    hanging = {name for name, job in jobs.items() if "scope.outputs.train == 'true'" in str(job.get("if"))}
    assert {*scope["with"]["jobs"].split(), *scope["with"]["data-jobs"].split()} == hanging
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
    assert "needs.find.outputs.release == ''" in model["if"], "files that have a release are not built again"
    assert "secrets." not in str(model), "what it needs from DVC's remote, another job fetches"
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


def test_the_weekly_look_may_write_nothing(workflows: dict[str, Workflow]) -> None:
    (job,) = workflows["doctor.yml"]["jobs"].values()
    assert set(job["permissions"].values()) == {"read"}
    assert set(triggers(workflows["doctor.yml"])) == {"schedule", "workflow_dispatch"}


@pytest.mark.parametrize("name", ["doctor.yml", "template-update.yml"])
def test_a_workflow_with_a_token_of_its_own_keeps_it_on_main(
    name: str, project: Path, workflows: dict[str, Workflow]
) -> None:
    (job,) = workflows[name]["jobs"].values()
    settings = json.loads(
        (project / ".github" / "settings" / "environments.json").read_text(encoding="utf-8")
    )
    (environment,) = (one for one in settings if one["name"] == job["environment"])
    assert environment["branches"] == ["main"]
