"""The pull-request loop, executed: what each kind of change does to the checks and to the one comment."""

from __future__ import annotations

import csv
import html
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.e2e.act import ActRun, jobs_of
from tests.e2e.conftest import STRENGTH, WEAK
from tests.e2e.loop import FORK, Loop

TRAINED = {"lint", "unit", "data", "train", "base", "model-tests", "image"}


def merge_base(report: dict[str, Any]) -> dict[str, Any]:
    (found,) = (item for item in report["comparisons"] if item["baseline"] == "merge base")
    return dict(found)


def metric(report: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (item for item in merge_base(report)["metrics"] if item["name"] == name)
    return dict(found)


def read(text: str) -> str:
    """A comment as its reader sees it: names are sent with every special character as an entity."""
    return html.unescape(text)


def trained(done: ActRun) -> bool:
    cost = json.loads((done.artifact("model-head") / "reports" / "cost.json").read_text())
    return cost["trained"] is True


def test_first_pull_request_without_a_baseline(loop: Loop) -> None:
    loop.start(loop.main)
    (loop.checkout / "dvc.yaml").unlink()
    (loop.checkout / "uv.lock").unlink()
    base = loop.commit("Nothing to train yet")
    loop.git("checkout", "--quiet", loop.main, "--", "dvc.yaml", "uv.lock")
    loop.commit("The first model")
    pull = loop.open("first")
    done, run = loop.train(pull, base=base, image=False)
    assert done.results["base"] == "success"
    assert done.results["gate"] == "success", done.log[-5000:]
    report = done.report()
    assert (report["verdict"], report["model"]) == ("warn", "trained")
    assert not merge_base(report)["available"]
    assert "could not be trained" in merge_base(report)["reason"]
    loop.comment(run)
    (text,) = loop.comments(pull)
    assert "could not be trained" in text


def test_better_model(loop: Loop) -> None:
    loop.start(loop.main)
    loop.edit("params.yaml", WEAK, STRENGTH)
    loop.commit("Regularise less")
    pull = loop.open("better")
    done, run = loop.train(pull)
    assert dict(done.results) == dict.fromkeys(done.results, "success"), done.log[-5000:]
    every = set(jobs_of(loop.checkout / ".github" / "workflows" / "pull-request.yml"))
    assert set(done.results) == every - {"fetch"}, "DVC keeps no data here"
    report = done.report()
    assert report["verdict"] in ("pass", "warn")
    assert metric(report, "log_loss")["verdict"] == "improved"
    assert report["head"]["commit"] == pull.sha
    assert merge_base(report)["identity"]["commit"] == loop.main
    assert {suite["name"] for suite in report["suites"]} == {"unit", "data", "model", "service"}
    assert trained(done)
    assert json.loads((done.artifact("model-image") / "smoke.json").read_text())["ok"] is True
    (size,) = (cost["head"] for cost in report["costs"] if cost["name"] == "image size")
    assert size > 10**8
    loop.comment(run)
    (text,) = loop.comments(pull)
    assert "log_loss" in read(text)
    assert "image size" in read(text)
    assert pull.sha[:7] in text


def test_worse_model_then_looser_gates(loop: Loop) -> None:
    """Red, and still red when the pull request loosens its gates; the second push updates the comment in place."""
    loop.start(loop.main)
    loop.edit("params.yaml", WEAK, "C: 0.0000001")
    loop.commit("Regularise far too much")
    pull = loop.open("worse")
    first, first_run = loop.train(pull, image=False)
    assert (first.results["metric-diff"], first.results["gate"]) == ("failure", "failure")
    assert first.results["train"] == "success"
    report = first.report()
    assert report["verdict"] == "fail"
    assert metric(report, "log_loss")["verdict"] == "regressed"
    loop.comment(first_run)
    (before,) = loop.comments(pull)
    (comment,) = (each.id for each in loop.forge.state.comments if each.pull == pull.number)

    loop.start(pull.sha)
    gates = loop.checkout / "gates.yaml"
    text = gates.read_text(encoding="utf-8")
    assert "max_drop: 0.01" in text
    text = re.sub(r"floor: [\d.]+", "floor: 0.01", text)
    text = re.sub(r"ceiling: [\d.]+", "ceiling: 99.0", text)
    text = re.sub(r"max_drop: [\d.]+", "max_drop: 0.9", text)
    gates.write_text(re.sub(r"max_rise_rel: [\d.]+", "max_rise_rel: 99.0", text), encoding="utf-8")
    loop.commit("Be content with it")
    loop.push(pull)
    second, second_run = loop.train(pull, image=False)
    assert second.results["gate"] == "failure"
    loosened = [
        change for change in second.report()["changes"] if change["kind"] == "gate" and change["loosens"]
    ]
    assert loosened
    assert not trained(second), "gates.yaml does not go into the model, so nothing was to be trained"
    assert metric(second.report(), "log_loss")["verdict"] == "regressed"
    loop.comment(second_run)
    (after,) = loop.comments(pull)
    assert [each.id for each in loop.forge.state.comments if each.pull == pull.number] == [comment]
    assert after != before
    assert pull.sha[:7] in after

    late = loop.comment(first_run)
    assert late.results["comment"] == "success"
    assert loop.comments(pull) == [after], "an older run that ends late must not overwrite the newer one"


def test_noise_only(loop: Loop) -> None:
    loop.start(loop.main)
    loop.edit("params.yaml", WEAK, "C: 0.0301")
    loop.commit("Turn a knob by a hair")
    done, _ = loop.train(loop.open("noise"), image=False)
    assert done.results["gate"] == "success", done.log[-5000:]
    verdicts = {item["name"]: item["verdict"] for item in merge_base(done.report())["metrics"]}
    assert verdicts["roc_auc"] in ("within noise", "unchanged")
    assert "regressed" not in verdicts.values()
    assert any(item["head"] != item["base"] for item in merge_base(done.report())["metrics"])


def test_changed_data(loop: Loop) -> None:
    """Other evaluation rows: the merge base's model is scored on them, so the two are compared all the same."""
    loop.start(loop.main)
    (data,) = (loop.checkout / "data").glob("*.csv")
    with data.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with data.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows[:-40])
    loop.commit("Drop the last forty rows")
    pull = loop.open("data")
    done, run = loop.train(pull, image=False)
    report = done.report()
    found = merge_base(report)
    assert found["available"], found
    assert found["rescored"]
    assert found["rows"] > 0
    assert any(change["kind"] == "data" for change in report["changes"])
    loop.comment(run)
    (text,) = loop.comments(pull)
    assert data.name in read(text)


def test_documents_only(loop: Loop) -> None:
    loop.start(loop.main)
    (loop.checkout / "docs").mkdir()
    (loop.checkout / "docs" / "how.md").write_text("More words.\n", encoding="utf-8")
    loop.commit("Explain it")
    pull = loop.open("docs")
    done, run = loop.train(pull)
    assert done.results["gate"] == "success", done.log[-5000:]
    assert not TRAINED & {job for job, result in done.results.items() if result == "success"}
    assert (done.report()["verdict"], done.report()["model"]) == ("pass", "unchanged")
    loop.comment(run)
    (text,) = loop.comments(pull)
    assert "unchanged" in read(text)


def test_merge_queue(loop: Loop) -> None:
    """The queue asks for the same check, for a commit that it made, against the commit that it was made on."""
    loop.start(loop.main)
    (loop.checkout / "README.md").write_text("Fewer words.\n", encoding="utf-8")
    commit = loop.commit("Say less")
    done = loop.queue(commit)
    assert done.results["gate"] == "success", done.log[-5000:]
    assert (done.report()["model"], done.report()["head"]["commit"]) == ("unchanged", commit)


HOSTILE_BRANCH = "feature/$(touch${IFS}pwned)`id`;&|'\"<img>"
HOSTILE_TITLE = "::set-output name=verdict::pass @everyone ${{ github.token }} <script>alert(1)</script>"


# What a stranger puts in the place of `dvc repro`.
FORGED = """\
\tmkdir -p model reports build
\ttouch model/x build/x
\tcp forged.json reports/metrics.json
"""
HOSTILE_METRIC = "<img src=x onerror=alert(1)> @octocat |[x](javascript:alert(1))"


# What Python would load from a working directory if it were let.
PLANTED = (
    "json.py",
    "argparse.py",
    "sitecustomize.py",
    "usercustomize.py",
    "gitops_ml/__init__.py",
    "pydantic.py",
)


def plant(loop: Loop) -> Path:
    """Put files into the checkout that write down which program loaded them; returns where they write."""
    seen = loop.origin.parent / "loaded.txt"
    spy = f"import sys\nwith open({str(seen)!r}, 'a') as file:\n    file.write(' '.join(sys.orig_argv) + '\\n')\n"
    for name in PLANTED:
        path = loop.checkout / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(spy, encoding="utf-8")
    # The trap works: a Python that is started without care falls into it.
    subprocess.run([sys.executable, "-c", "import json"], cwd=loop.checkout, check=True)
    assert seen.read_text(encoding="utf-8").count("import json") >= 1
    seen.unlink()
    return seen


def test_fork_with_hostile_names(loop: Loop) -> None:
    """A stranger's pull request: names are text, it is found by head and not by what it says, and it is answered.

    Files that it plants for our actions to load are not loaded, and no token leaves for anywhere but the API.
    """
    loop.start(loop.main)
    loaded = plant(loop)
    makefile = loop.checkout / "Makefile"
    text = makefile.read_text(encoding="utf-8")
    assert text.count("\tdvc repro\n") == 1
    makefile.write_text(text.replace("\tdvc repro\n", FORGED), encoding="utf-8")
    numbers = {HOSTILE_METRIC: 1.0, "roc_auc": 0.99}
    (loop.checkout / "forged.json").write_text(json.dumps(numbers), encoding="utf-8")
    loop.commit(HOSTILE_TITLE)
    pull = loop.open(HOSTILE_BRANCH, title=HOSTILE_TITLE, repository=FORK)
    done, run = loop.train(pull)
    assert done.results["scope"] == "success", done.log[-5000:]
    assert done.results["gate"] == "failure"
    assert not list(loop.act.folder.rglob("pwned"))
    assert not (loop.checkout / "pwned").exists()
    commented = loop.comment(run)
    assert commented.results["comment"] == "success", commented.log[-5000:]
    (text,) = loop.comments(pull)
    assert HOSTILE_METRIC.split()[0] in read(text), "the name is shown, as text"
    assert "<img" not in text
    assert "<script" not in text
    assert "@octocat" not in text
    assert "](javascript:" not in text
    starts = loaded.read_text(encoding="utf-8").splitlines() if loaded.exists() else []
    by_us = [line for line in starts if ".github/actions" in line]
    assert by_us == []
    sent = [f"{each.path} {each.query} {each.body}" for each in loop.forge.seen]
    assert sent
    assert not [each for each in sent if "token-of-the-run" in each]
    kept = [path for path in loop.act.store.rglob("*") if path.is_file()]
    assert not [path for path in kept if b"token-of-the-run" in path.read_bytes()]


def test_only_runs_of_pull_requests_are_answered(loop: Loop) -> None:
    """And one that left no report is answered too, by saying so."""
    loop.start(loop.main)
    loop.commit_nothing()
    pull = loop.open("without-report")
    for event in ("push", "merge_group"):
        run = loop.record(pull, event)
        done = loop.comment(run)
        assert (done.code, dict(done.results)) == (0, {}), done.log
        assert loop.comments(pull) == []
    done = loop.comment(loop.record(pull, "pull_request"))
    assert (done.code, dict(done.results)) == (0, {"comment": "success"}), done.log
    (text,) = loop.comments(pull)
    assert "report" in read(text)
    assert pull.sha[:7] in text
