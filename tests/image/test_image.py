"""The image of a generated project, built by a real engine: what is in it, how it runs, and what it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml
from gitops_ml.delivery.targets.docker_host import find_docker
from gitops_ml.engine import Docker
from gitops_ml.golden import read_contract
from gitops_ml.smoke import smoke
from gitops_ml.trial import HARDENED, free_port

from tests.delivery import docker_machine
from tests.delivery.docker_machine import Machine, clients, order
from tests.image.inside import SLIM, WRITES
from tests.image.shop import NETWORK, Shop
from tests.template.workbench import set_up
from tests.tools.required import ROOT

# Stands for the password in the address of an index: the build gets it, the image may not.
SECRET = f"secret-{secrets.token_hex(8)}.invalid"
NOT_FOR_SERVING = {"mlflow", "mlflow-skinny", "dvc", "matplotlib", "pytest", "uv", "pip", "ruff"}


@pytest.fixture(scope="module")
def shop(
    engine: Docker,
    base: str,
    template: Path,
    environ: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    reached = {name: value for name, value in engine.environ.items() if name.startswith("DOCKER")}
    bench = set_up(template, tmp_path_factory.mktemp("image"), {**environ, **reached}, "classification")
    bench.succeed("make", "train")
    tag = f"gitops-ml-test-{secrets.token_hex(4)}:built"
    told = replace(bench, environ={**bench.environ, "DOCKER": engine.command, "PIP_TRUSTED_HOST": SECRET})
    try:
        printed = told.succeed(
            "make", "image", f"IMAGE={tag}", f"IMAGE_FLAGS={NETWORK} --base={base}"
        ).printed
        yield Shop(told, engine, tag, printed)
    finally:
        name = tag.partition(":")[0]
        for one in ("built", "changed", "again"):
            subprocess.run(
                [engine.command, "rmi", f"{name}:{one}"], env=dict(engine.environ), capture_output=True
            )


def test_the_image_answers_as_the_evaluation_did(shop: Shop) -> None:
    said = shop.bench.succeed("make", "smoke", f"IMAGE={shop.tag}", f"SMOKE_FLAGS={NETWORK}").printed
    found = shop.bench.json("reports/image/smoke.json")
    assert found["ok"], said
    assert [line[:4] for line in said.splitlines()[-6:]] == ["ok  "] * 6
    assert found["golden_rows"] > 100
    assert found["largest_difference"] <= 1e-9
    assert found["stop_s"] < 40


def test_labels_and_report_name_what_is_inside(shop: Shop) -> None:
    built = shop.bench.json("reports/image/image.json")
    head = shop.bench.succeed("git", "rev-parse", "HEAD").printed.strip()
    run = shop.bench.json("reports/run.json")
    assert (built["revision"], built["model_hash"], built["data_hash"]) == (
        head,
        run["model_hash"],
        run["data_hash"],
    )
    labels = shop.engine.image(shop.tag).labels
    assert labels["org.opencontainers.image.revision"] == head
    assert labels["gitops-ml.model-hash"] == run["model_hash"]
    assert labels["gitops-ml.data-hash"] == run["data_hash"]


def test_it_holds_what_serving_needs_and_nothing_else(shop: Shop) -> None:
    code = "import json, importlib.metadata as m; print(json.dumps([[d.name, d.version] for d in m.distributions()]))"
    inside = {re.sub("[-_.]+", "-", name).lower(): version for name, version in shop.python(code)}
    assert "scikit-learn" in inside
    assert not NOT_FOR_SERVING & set(inside)
    listed = shop.bench.json("reports/image/sbom.cdx.json")
    assert listed["bomFormat"] == "CycloneDX"
    known = {(part["name"], part["version"]) for part in listed["components"]}
    assert set(inside.items()) <= known, "the list of packages must name every package of the image"


def test_it_is_slim_and_whole(shop: Shop) -> None:
    compiled, symbols, folders, licences, estimators = shop.python(SLIM)
    assert compiled > 100
    assert (symbols, folders, licences) == ([], [], [])
    assert estimators > 150


def test_batch_and_explanations_work_in_it(shop: Shop, tmp_path: Path) -> None:
    rows, said = shop.bench.project / "build/test.parquet", tmp_path / "said.parquet"
    shop.bench.succeed("make", "batch", f"INPUT={rows}", f"OUTPUT={said}")
    tmp_path.chmod(0o777)
    volumes = (f"--volume={rows}:/rows.parquet:ro", f"--volume={tmp_path}:/out")
    predict = ("predict", "--input=/rows.parquet", "--output=/out/image.parquet")
    shop.docker("run", "--rm", NETWORK, *HARDENED, *volumes, shop.tag, *predict)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "image.parquet"), pd.read_parquet(said), rtol=1e-9
    )
    port, record = free_port(), dict(shop.plan().golden.rows[0].record)
    container = shop.engine.start([*HARDENED, NETWORK, f"--env=SERVING_PORT={port}"], shop.tag)
    try:
        deadline = time.monotonic() + 120
        while shop.health(container) != 0:
            assert time.monotonic() < deadline, shop.engine.logs(container)
        address, asked = (
            f"http://127.0.0.1:{port}/predict?explain=true",
            json.dumps({"records": [record]}).encode(),
        )
        request = urllib.request.Request(address, asked, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            (answer,) = json.load(response)["predictions"]
    finally:
        shop.engine.remove(container)
    explained = answer["explanation"]
    total = explained["baseline"] + sum(explained["contributions"].values())
    assert set(explained["contributions"]) == set(record)
    assert total == pytest.approx(explained["value"], abs=1e-9)


def test_files_were_added_in_three_folders_only(shop: Shop, base: str) -> None:
    code = "import json, os; print(json.dumps(os.listdir('/')))"
    before = json.loads(shop.docker("run", "--rm", NETWORK, "--entrypoint=python3", base, "-c", code))
    assert set(shop.python(code)) - set(before) == {"app", "model", "venv"}
    code = "import json, os; print(json.dumps([sorted(os.listdir(f)) for f in ('/app', '/model')]))"
    package = next((shop.bench.project / "src").iterdir()).name
    assert shop.python(code) == [
        sorted([package, "ask.py", "healthcheck.py", "__pycache__"]),
        ["contract.json", "model.skops", "reference.parquet"],
    ]


def test_no_layer_holds_what_the_build_was_told_in_secret(shop: Shop) -> None:
    assert SECRET not in shop.docker("history", "--no-trunc", shop.tag)
    archive = [shop.engine.command, "save", shop.tag]
    found = 0
    with subprocess.Popen(archive, env=dict(shop.engine.environ), stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        kept = b""
        while block := saving.stdout.read(2**20):
            found += (kept + block).count(SECRET.encode())
            kept = block[-len(SECRET) + 1 :]
    assert saving.returncode == 0
    assert found == 0


@pytest.mark.parametrize("options", [(), HARDENED], ids=["any", "hardened"])
def test_its_user_can_change_nothing(shop: Shop, options: tuple[str, ...]) -> None:
    assert shop.python(WRITES, *options) == [65532, 65532, ["/tmp"]]


def test_it_needs_no_shell(shop: Shop) -> None:
    code = (
        "import json, os; print(json.dumps([os.path.realpath('/bin/' + n) for n in ('sh', 'dash', 'bash')]))"
    )
    shells = sorted(set(shop.python(code)))
    masks = [f"--volume=/dev/null:{shell}:ro" for shell in shells if shell.startswith(("/bin", "/usr/bin"))]
    assert masks
    summary = smoke(shop.engine, shop.plan(*masks))
    assert summary.ok, shop.failed(summary)


def test_the_engine_sees_its_health(shop: Shop) -> None:
    container = shop.engine.start([*HARDENED, NETWORK, "--env=SERVING_PORT=0"], shop.tag)
    try:
        # On a port that the check does not know, it is not healthy.
        assert shop.health(container) == 1
    finally:
        shop.engine.remove(container)
    container = shop.engine.start([*HARDENED, NETWORK, f"--env=SERVING_PORT={free_port()}"], shop.tag)
    try:
        deadline = time.monotonic() + 120
        while shop.health(container) != 0:
            assert time.monotonic() < deadline, shop.engine.logs(container)
            assert shop.engine.state(container).running, shop.engine.logs(container)
    finally:
        shop.engine.remove(container)


def test_a_tampered_model_refuses_to_start(shop: Shop, tmp_path: Path) -> None:
    forged = tmp_path / "model.skops"
    shutil.copy(shop.bench.project / "model/model.skops", forged)
    with forged.open("ab") as file:
        file.write(b"\0")
    forged.chmod(0o644)
    container = shop.engine.start([NETWORK, *HARDENED, f"--volume={forged}:/model/model.skops:ro"], shop.tag)
    try:
        deadline = time.monotonic() + 120
        while shop.engine.state(container).running:
            assert time.monotonic() < deadline, "it serves a model that is not the contract's"
            time.sleep(0.1)
        assert shop.engine.state(container).exit_code != 0
        lines = shop.engine.logs(container).strip().splitlines()
    finally:
        shop.engine.remove(container)
    assert len(lines) == 1, lines
    assert "has the hash" in lines[0]


def test_a_stop_during_the_start_ends_it_at_once(shop: Shop, tmp_path: Path) -> None:
    """The first process of a container has no default action for the signal: unhandled, it would wait to be killed."""
    contract = tmp_path / "contract.json"
    os.mkfifo(contract)
    contract.chmod(0o666)
    tmp_path.chmod(0o755)
    container = shop.engine.start([NETWORK, *HARDENED, f"--volume={tmp_path}:/model:ro"], shop.tag)
    try:
        deadline = time.monotonic() + 120
        writing = None
        while writing is None:
            assert time.monotonic() < deadline, shop.engine.logs(container)
            assert shop.engine.state(container).running, shop.engine.logs(container)
            # Can be opened for writing when the service has opened it, and waits for its contract.
            with contextlib.suppress(OSError):
                writing = os.open(contract, os.O_WRONLY | os.O_NONBLOCK)
        try:
            shop.engine.stop(container, grace_s=100)
        finally:
            os.close(writing)
        ended = shop.engine.state(container)
        assert (ended.running, ended.exit_code) == (False, 128 + signal.SIGTERM)
        assert shop.engine.logs(container) == ""
    finally:
        shop.engine.remove(container)


def test_releases_of_it_are_switched_under_load_without_a_lost_request(
    shop: Shop, registry: str, docker_environ: dict[str, str], proxy_image: None
) -> None:
    """Nothing stands in for anything but the network: project, image, engine, registry, proxy."""
    project, target = shop.bench.project, f"{registry}/tests/{secrets.token_hex(4)}"
    shutil.copy2(ROOT / "tests" / "delivery" / "host-network.yaml", project / "deploy")
    shop.engine.push(shop.tag, f"{target}:built")
    digests = shop.engine.image(f"{target}:built").references
    (image,) = (name for name in digests if name.startswith(f"{target}@"))
    built, contract = (
        shop.bench.json("reports/image/image.json"),
        read_contract(project / "model/contract.json"),
    )
    releases = [
        docker_machine.manifest(image, number, built["revision"], contract.model_hash, contract.data_hash)
        for number in (1, 2)
    ]
    environ = docker_environ | docker_machine.addresses()
    machine = Machine(project, f"tests-{secrets.token_hex(4)}", environ, find_docker(docker_environ))
    try:
        deploying = machine.target()
        assert deploying.apply(order(releases[0], 1)) == ""
        described = machine.answer("/openapi.json")["paths"]["/predict"]["post"]["requestBody"]
        example = described["content"]["application/json"]["example"]
        with clients(machine, body=json.dumps(example).encode()) as asked:
            for fence, release in enumerate((releases[1], releases[0]), start=2):
                assert deploying.apply(order(release, fence)) == ""
                assert deploying.live().release == release.release
                assert machine.answer()["release"] == release.release
        assert asked.failed == []
        assert set(asked.answered) == {release.release for release in releases}
        assert dict(deploying.prove(order(releases[0], 3))) == {"version": True, "smoke": True}
    finally:
        machine.clean()
        shop.docker("rmi", f"{target}:built")


def test_a_wrong_prediction_turns_smoke_red(shop: Shop) -> None:
    path = shop.bench.project / "reports" / "predictions.parquet"
    before = path.read_bytes()
    table = pd.read_parquet(path)
    table.loc[0, "y_score"] = table.loc[0, "y_score"] + 1e-6
    table.to_parquet(path, index=False)
    try:
        printed = shop.bench.fail("make", "smoke", f"IMAGE={shop.tag}", f"SMOKE_FLAGS={NETWORK}").printed
    finally:
        path.write_bytes(before)
    assert "FAIL predictions: 1 of " in printed
    assert "Traceback" not in printed
    assert len([line for line in printed.splitlines() if line.startswith("error: ")]) == 1


def test_a_change_of_code_installs_nothing_and_is_noticed(shop: Shop) -> None:
    tag = shop.tag.replace(":built", ":changed")
    module = next((shop.bench.project / "src").iterdir()) / "__init__.py"
    before = module.read_text(encoding="utf-8")
    module.write_text(before + "# a change\n", encoding="utf-8")
    try:
        printed = shop.bench.succeed("make", "image", f"IMAGE={tag}", f"IMAGE_FLAGS={NETWORK}").printed
        said = shop.bench.json("reports/image/image.json")
        old = shop.bench.fail("make", "smoke", f"IMAGE={shop.tag}", f"SMOKE_FLAGS={NETWORK}").printed
    finally:
        module.write_text(before, encoding="utf-8")
        shop.bench.succeed("make", "image", f"IMAGE={shop.tag}", f"IMAGE_FLAGS={NETWORK}")
    steps = dict(
        re.findall(r"^#(\d+) \[packages .*\] RUN .*\b(venv /tools|uv sync)\b", printed, re.MULTILINE)
    )
    assert len(steps) == 2, printed
    for number in steps:
        assert f"#{number} CACHED" in printed, printed
    built, changed = shop.layers(shop.tag), shop.layers(tag)
    assert changed[:-2] == built[:-2]
    assert changed[-2] != built[-2]
    assert changed[-1] == built[-1]
    # The old image has the old code, and its labels say so.
    assert said["revision"].endswith("-dirty")
    assert "FAIL image: label org.opencontainers.image.revision" in old


def test_the_same_inputs_give_the_same_layers(shop: Shop, base: str) -> None:
    tag = shop.tag.replace(":built", ":again")
    project = shop.bench.project
    for path in [project / "uv.lock", *(project / "src").rglob("*.py"), *(project / "model").iterdir()]:
        path.touch()
    words = [
        "build",
        "--no-cache",
        NETWORK,
        f"--build-arg=BASE={base}",
        "--file",
        str(project / "deploy/Dockerfile"),
    ]
    authority = shop.bench.environ.get("SSL_CERT_FILE")
    words += [f"--secret=id=ca,src={authority}"] if authority else []
    shop.docker(*words, f"--tag={tag}", str(project))
    assert shop.layers(tag) == shop.layers(shop.tag)


def test_pushed_and_pulled_by_digest_it_is_the_same_image(shop: Shop, registry: str, tmp_path: Path) -> None:
    target = f"{registry}/{shop.tag.partition(':')[0]}:test"
    output = tmp_path / "output"
    output.touch()
    runner = replace(shop.bench, environ={**shop.bench.environ, "GITHUB_OUTPUT": str(output)})
    launch = ".github/actions/launch"
    printed = runner.succeed(launch, "none", "image", "push", f"--tag={shop.tag}", f"--to={target}").printed
    digest = re.search(r"sha256:[0-9a-f]{64}", printed)
    assert digest is not None
    reference = f"{target.rpartition(':')[0]}@{digest[0]}"
    assert output.read_text(encoding="utf-8").count(reference) == 1
    identity = shop.engine.image(shop.tag).id
    for name in (target, reference):
        subprocess.run([shop.engine.command, "rmi", name], env=dict(shop.engine.environ), capture_output=True)
    shop.docker("pull", reference)
    try:
        assert shop.engine.image(reference).id == identity
        summary = smoke(shop.engine, replace(shop.plan(), image=reference))
        assert summary.ok, shop.failed(summary)
    finally:
        shop.docker("rmi", reference)


def test_the_action_runs_on_a_real_engine(shop: Shop, registry: str, tmp_path: Path) -> None:
    """The scripts in `build-image/action.yml`, step by step as a runner would; with a key, so that none is left out."""
    make_key = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"]
    key = subprocess.run(make_key, check=True, capture_output=True, text=True).stdout
    folder = shop.bench.project / ".github" / "actions" / "build-image"
    action = yaml.safe_load((folder / "action.yml").read_text(encoding="utf-8"))
    given = {name: told["default"] for name, told in action["inputs"].items()}
    given |= {
        "image": shop.tag,
        "network": "host",
        "push-to": f"{registry}/gitops-ml-test:action",
        "rows": "10",
        "signing-key": key,
    }
    output = tmp_path / "output"
    output.touch()
    runner = {"GITHUB_OUTPUT": str(output), "GITHUB_ACTION_PATH": str(folder), "GITHUB_ACTIONS": "true"}
    for step in action["runs"]["steps"]:
        wanted = {
            name: given[expression.split()[1].removeprefix("inputs.")]
            for name, expression in step["env"].items()
        }
        bench = replace(shop.bench, environ={**shop.bench.environ, **runner, **wanted})
        bench.succeed("bash", "-eo", "pipefail", "-c", step["run"])
    said = set(re.findall(r"^([a-z-]+)<<", output.read_text(encoding="utf-8"), re.MULTILINE))
    named = {value["value"].split(".")[-1].removesuffix(" }}") for value in action["outputs"].values()}
    assert named <= said
    assert shop.bench.json("reports/image/image.json")["signature"]["by"] == "key"
    reference = re.search(
        rf"^{re.escape(registry)}/gitops-ml-test@sha256:[0-9a-f]{{64}}$", output.read_text("utf-8"), re.M
    )
    assert reference is not None
    for name in (reference[0], f"{registry}/gitops-ml-test:action"):
        subprocess.run([shop.engine.command, "rmi", name], env=dict(shop.engine.environ), capture_output=True)
