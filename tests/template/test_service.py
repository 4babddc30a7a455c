"""The generated project's service as a process: its page in a real browser, its answers under a storm of nonsense."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.accessibility import assert_accessible
from tests.fakes.browser_session import Session
from tests.fakes.moto import moto_server
from tests.template.workbench import Workbench, set_up
from tests.tools.required import need

# Models over columns of every type, as the project's own tests train them.
TRAIN = """
import pathlib, serving
for task in ("classification", "regression"):
    folder = pathlib.Path("build/served") / task
    folder.mkdir(parents=True)
    serving.train(folder, task)
"""
# Of a window: a desk and a phone.
SIZES = {"light": (1200, 900), "dark": (390, 844)}


@pytest.fixture(scope="module")
def project(template: Path, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    given = {**environ, "PYTHONPATH": "src:tests"}
    bench = set_up(template, tmp_path_factory.mktemp("service"), given, "classification")
    bench.succeed(".venv/bin/python", "-c", TRAIN)
    return bench


@contextmanager
def serving(project: Workbench, task: str) -> Iterator[str]:
    """The service of one model; gives its address."""
    package = next((project.project / "src").iterdir()).name
    model = f"build/served/{task}/model"
    process = subprocess.Popen(
        [".venv/bin/python", "-m", f"{package}.service", "--model", model, "serve", "--port", "0"],
        cwd=project.project,
        env={**project.environ, "SERVING_DRAIN_SECONDS": "0"},
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        process.terminate()
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def addresses(project: Workbench) -> Iterator[dict[str, str]]:
    """The address of a running service by task."""
    with serving(project, "classification") as one, serving(project, "regression") as other:
        yield {"classification": one, "regression": other}


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("browser") / "profile") as session:
        yield session


@pytest.fixture
def browser(window: Session) -> Session:
    """The one window, which has seen nothing yet."""
    window.open("about:blank")
    window.asked.clear()
    window.console.clear()
    return window


def predicted(address: str, record: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"records": [record]}).encode()
    request = urllib.request.Request(f"{address}/predict", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answered:
        return dict(json.load(answered)["predictions"][0])


def field(column: str) -> str:
    return f'[data-column="{column}"]'


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_person_gets_a_prediction_by_filling_in_the_form(
    addresses: dict[str, str], browser: Session, task: str, scheme: str, tmp_path: Path
) -> None:
    record = {"size": 31.5, "visits": 7, "member": False, "city": "Delft", "since": "2001-02-03T04:05:06"}
    address = addresses[task]
    wanted = predicted(address, record)
    browser.show(*SIZES[scheme], scheme)
    browser.open(f"{address}/docs")
    browser.type(field("size"), "31.5")
    browser.type(field("visits"), "7")
    browser.type(field("city"), "Delft")
    # A control for dates is filled part by part, in an order that depends on the language.
    browser.value(f"document.querySelector('{field('since')}').value = '2001-02-03T04:05:06'")
    browser.choose(field("member"), "false")
    browser.click("#explain")
    browser.value(f"document.querySelector('{field('size')}').focus()")
    browser.press("Enter")
    browser.until("!document.getElementById('answer').hidden")
    shown = browser.value("document.querySelector('#answer .prediction').textContent")
    said = browser.value("document.getElementById('answer').innerText")
    browser.picture(tmp_path / "answer.png")
    if task == "classification":
        assert shown == wanted["prediction"]
    else:
        assert float(shown) == pytest.approx(wanted["prediction"], rel=1e-5)
    for part in (*wanted["notes"], "What each column contributed"):
        assert part in said
    assert '"city":"Delft"' in browser.value("document.getElementById('request').textContent")
    assert browser.value("document.documentElement.scrollWidth <= innerWidth"), "it scrolls sideways"
    assert browser.console == []
    elsewhere = [one for one in browser.asked if not one.startswith((f"{address}/", "data:"))]
    assert elsewhere == []
    grounds = {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}
    assert browser.value("getComputedStyle(document.body).backgroundColor") == grounds[scheme]


def test_what_does_not_fit_is_shown_at_its_field(addresses: dict[str, str], browser: Session) -> None:
    browser.open(f"{addresses['classification']}/docs")
    browser.type(field("visits"), "")
    browser.click("#form button")
    assert browser.value("document.getElementById('answer').hidden"), "the browser itself asks for a value"
    browser.value("document.getElementById('form').noValidate = true")
    browser.click("#form button")
    browser.until("document.querySelector('#answer .error')")
    assert "'visits'" in browser.value("document.querySelector('#answer .error').textContent")
    assert browser.value("document.activeElement.dataset.column") == "visits"
    assert browser.value("document.activeElement.getAttribute('aria-invalid')") == "true"
    browser.type(field("visits"), "3")
    browser.press("Enter")
    browser.until("document.querySelector('#answer .prediction')")
    assert browser.value("document.querySelectorAll('[aria-invalid]').length") == 0


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_the_page_is_accessible_before_and_after_an_answer(
    addresses: dict[str, str], browser: Session, task: str
) -> None:
    need("axe")
    browser.open(f"{addresses[task]}/docs")
    assert_accessible(browser)
    browser.value("document.getElementById('form').noValidate = true")
    browser.type(field("visits"), "")
    browser.press("Enter")
    browser.until("document.querySelector('#answer .error')")
    assert_accessible(browser)
    browser.type(field("visits"), "3")
    browser.press("Enter")
    browser.until("document.querySelector('#answer .prediction')")
    assert_accessible(browser)


def test_a_script_that_got_into_the_page_would_not_run(addresses: dict[str, str], browser: Session) -> None:
    browser.open(f"{addresses['classification']}/docs")
    browser.value(
        "{const planted = document.createElement('script'); planted.textContent = \"document.title = 'planted'\";"
        " document.body.append(planted)}"
    )
    browser.until("true")
    assert browser.value("document.title") != "planted"
    assert any("Content Security Policy" in line for line in browser.console)


def test_ten_thousand_malformed_requests_are_refused_in_bounded_memory(project: Workbench) -> None:
    storm = Workbench(project.project, {**project.environ, "MALFORMED_REQUESTS": "10000"})
    printed = storm.succeed(
        ".venv/bin/python", "-m", "pytest", "-rP", "tests/service/test_malformed.py"
    ).printed
    assert "10000 requests" in printed


COPY = """
import pandas, pyarrow.fs, sys
files = pyarrow.fs.S3FileSystem(endpoint_override=sys.argv[1], allow_bucket_creation=True)
files.create_dir("lake")
pandas.read_parquet(sys.argv[2]).to_parquet("lake/rows.parquet", filesystem=files)
"""
COMPARE = """
import pandas, pyarrow.fs, sys
files = pyarrow.fs.S3FileSystem(endpoint_override=sys.argv[1])
names = sorted(found.path for found in files.get_file_info(pyarrow.fs.FileSelector("lake", recursive=True)))
far, near = pandas.read_parquet("lake/out.parquet", filesystem=files), pandas.read_parquet(sys.argv[2])
pandas.testing.assert_frame_equal(far, near)
print(len(far), *names)
"""


@pytest.fixture
def storage(project: Workbench) -> Iterator[str]:
    """The address of a server that speaks S3."""
    with moto_server(project.environ) as address:
        yield address


def test_batch_reads_and_writes_a_bucket(project: Workbench, storage: str, tmp_path: Path) -> None:
    account = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}
    cloud = {**account, "AWS_ENDPOINT_URL": storage, "AWS_EC2_METADATA_DISABLED": "true"}
    bench = Workbench(project.project, {**project.environ, **cloud})
    package = next((project.project / "src").iterdir()).name
    model = "build/served/classification/model"
    batch = (".venv/bin/python", "-m", f"{package}.service", "--model", model, "predict")
    rows, near = f"{model}/reference.parquet", str(tmp_path / "near.parquet")
    bench.succeed(*batch, "--input", rows, "--output", near)
    bench.succeed(".venv/bin/python", "-c", COPY, storage, rows)
    bench.succeed(*batch, "--input", "s3://lake/rows.parquet", "--output", "s3://lake/out.parquet")
    printed = bench.succeed(".venv/bin/python", "-c", COMPARE, storage, near).printed.split()
    assert int(printed[0]) > 50
    assert printed[1:] == ["lake/out.parquet", "lake/rows.parquet"]
    refused = bench.fail(
        *batch, "--input", "s3://lake/nothing.parquet", "--output", "s3://lake/other.parquet"
    )
    assert refused.errors == ["error: --input s3://lake/nothing.parquet is not a file"]


def test_a_signed_model_that_was_changed_is_not_verified(project: Workbench, tmp_path: Path) -> None:
    shutil.copytree(project.project / "build/served/classification/model", project.project / "model")
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    openssl = str(need("openssl"))
    project.succeed(openssl, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(key))
    project.succeed(openssl, "ec", "-in", str(key), "-pubout", "-out", str(public))
    project.succeed("make", "sign", f"KEY={key}")
    project.succeed("make", "verify", f"KEY={public}")
    with (project.project / "model/model.skops").open("ab") as model:
        model.write(b"x")
    changed = project.fail("make", "verify", f"KEY={public}")
    assert re.search(r"Signature mismatch: .*Hash mismatch for .*model\.skops", changed.printed)
    assert "name the signer" in project.fail("make", "verify").printed
