"""`gitops-ml release adopt`: the model of the merged pull request arrives whole, or nothing of it does."""

from __future__ import annotations

import copy
import json
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import pytest
from gitops_ml.delivery import handover
from gitops_ml.delivery.git import Git
from gitops_ml.delivery.train_once import Search, TakeOver
from gitops_ml.errors import UserError
from gitops_ml.github import GitHub

from tests.delivery.repositories import git
from tests.delivery.site import Site, content_of, merged, sha256, trained, write, zipped
from tests.fakes import troubles
from tests.fakes.contract import Contract
from tests.fakes.state import State

Files = dict[str, bytes]


@pytest.fixture(scope="module")
def prepared(
    contract: Contract | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, State]]:
    """A merged pull request whose run is 901, for many tests."""
    with merged(contract, tmp_path_factory.mktemp("merged"), train=True) as found:
        yield found


@pytest.fixture
def site(prepared: tuple[Site, State]) -> Site:
    """The job on main, with what an earlier training left behind in the project."""
    site, state = prepared
    site.forge.state = copy.deepcopy(state)
    site.check_out()
    for name in handover.FOLDERS:
        shutil.rmtree(site.project / name, ignore_errors=True)
    write(site.project, {**trained("0" * 40, b"old"), "reports/old.json": b"{}"})
    return site


def head(site: Site) -> str:
    return str(site.forge.state.pulls[0].sha)


def hand_over(site: Site, content: bytes) -> None:
    site.forge.state.artifacts[0].content = content


def adopt(site: Site, run: str = "901", key: str = "") -> dict[str, str]:
    return site.verb("adopt", "--run", run, "--build-key", key or site.verb("find")["build-key"])


def refused(site: Site, said: str, **words: str) -> None:
    before = content_of(site.project)
    outputs = adopt(site, **words)
    assert outputs["adopted"] == "false"
    assert said in outputs["reason"]
    assert "\n" not in outputs["reason"]
    assert content_of(site.project) == before
    assert sorted(path.name for path in site.project.iterdir() if path.name.startswith(".")) == [
        ".git",
        ".gitignore",
    ]
    assert "The model is trained on main" in site.summary


def test_the_model_of_the_pull_request_takes_the_place_of_what_was_there(site: Site) -> None:
    before = content_of(site.project)
    outputs = adopt(site)
    assert outputs == {
        "adopted": "true",
        "reason": f"Pull request 1 trained the model at {head(site)[:7]}, in run 901.",
    }
    tracked = {name: text for name, text in before.items() if name.split("/")[0] not in handover.FOLDERS}
    assert content_of(site.project) == {**tracked, **trained(head(site))}
    assert git(site.project, "status", "--porcelain") == ""
    assert not [path for path in site.project.iterdir() if path.name.startswith(".gitops-ml")]


def test_it_arrives_in_a_fresh_checkout_too(site: Site) -> None:
    for name in handover.FOLDERS:
        shutil.rmtree(site.project / name)
    assert adopt(site)["adopted"] == "true"
    assert content_of(site.project).items() >= trained(head(site)).items()


def test_the_token_does_not_leave_the_api(site: Site) -> None:
    adopt(site)
    (stored,) = [seen for seen in site.forge.seen if seen.server == "storage"][-1:]
    assert "authorization" not in stored.headers


def test_a_download_that_broke_off_is_begun_again(site: Site) -> None:
    key = site.verb("find")["build-key"]
    site.forge.trouble("GET", "/zip$", troubles.said(429, "Too many requests", Retry_After="0"))
    assert adopt(site, key=key)["adopted"] == "true"


def test_results_that_dvc_used_again_name_an_earlier_commit(site: Site) -> None:
    hand_over(site, zipped(trained(git(site.author, "rev-parse", f"{head(site)}~1"))))
    assert adopt(site)["adopted"] == "true"


def with_run(change: Callable[[dict[str, str]], object]) -> Callable[[Files], None]:
    def make(files: Files) -> None:
        run = json.loads(files["reports/run.json"])
        change(run)
        files["reports/run.json"] = json.dumps(run).encode()

    return make


def tampered(files: Files) -> None:
    files["model/model.skops"] = b"evil"


def tampered_with_its_contract(files: Files) -> None:
    files["model/model.skops"] = b"evil"
    files["model/contract.json"] = files["model/contract.json"].replace(
        sha256(b"weights").encode(), sha256(b"evil").encode()
    )


def without_model(files: Files) -> None:
    del files["model/model.skops"]


def without_folder(files: Files) -> None:
    del files["build/test.parquet"]


def with_a_workflow(files: Files) -> None:
    files[".github/workflows/deliver.yml"] = b"evil"


def with_a_file_at_the_top(files: Files) -> None:
    files["model2"] = b"x"


def with_a_file_for_a_folder(files: Files) -> None:
    files["build"] = b"x"


def without_metrics(files: Files) -> None:
    del files["reports/metrics.json"]


def without_data_hash(files: Files) -> None:
    for name in ("model/contract.json", "reports/run.json"):
        value = json.loads(files[name])
        del value["data_hash"]
        files[name] = json.dumps(value).encode()


CHANGES: list[tuple[str, Callable[[Files], None], str]] = [
    ("tampered", tampered, "the artifact's model/model.skops is not the model that"),
    ("tampered with its contract", tampered_with_its_contract, "is about another model"),
    ("no model", without_model, "model/model.skops does not exist"),
    ("no folder", without_folder, "has no folder build/"),
    ("a workflow", with_a_workflow, "'.github/workflows/deliver.yml' is in none of the folders"),
    ("a file at the top", with_a_file_at_the_top, "'model2' is in none of the folders"),
    ("a file for a folder", with_a_file_for_a_folder, "'build' is in none of the folders"),
    ("no metrics", without_metrics, "metrics.json does not exist"),
    ("no data hash", without_data_hash, "names other data"),
    ("other data", with_run(lambda run: run.update(data_hash="0" * 64)), "names other data"),
    ("other model", with_run(lambda run: run.update(model_hash="0" * 64)), "is about another model"),
    ("other commit", with_run(lambda run: run.update(commit="0" * 40)), "names the commit"),
    ("changed files", with_run(lambda run: run.update(commit=run["commit"] + "-dirty")), "names the commit"),
    ("no commit", with_run(lambda run: run.pop("commit")), "names the commit ''"),
    ("a name of a commit", with_run(lambda run: run.update(commit="HEAD~1")), "names the commit"),
    ("an option", with_run(lambda run: run.update(commit="--is-ancestor")), "names the commit"),
]


@pytest.mark.parametrize(
    ("change", "said"), [case[1:] for case in CHANGES], ids=[case[0] for case in CHANGES]
)
def test_what_is_not_of_one_training_is_refused(
    site: Site, tmp_path: Path, change: Callable[[Files], None], said: str
) -> None:
    files = trained(head(site))
    change(files)

    def receive() -> None:
        handover.unpack(BytesIO(zipped(files)), tmp_path)
        handover.judge(tmp_path, Git(site.project), head(site))

    with pytest.raises(UserError) as raised:
        receive()
    assert said in raised.value.message


def test_a_refused_model_changes_nothing(site: Site) -> None:
    files = trained(head(site))
    tampered(files)
    hand_over(site, zipped(files))
    refused(site, "the artifact's model/model.skops is not the model that the artifact's model/contract.json")


def test_a_commit_after_the_pull_request_is_not_before_it(site: Site) -> None:
    merged = git(site.project, "rev-parse", "HEAD")
    hand_over(site, zipped(trained(merged)))
    refused(site, f"names the commit '{merged}'")


def hostile(name: str, content: bytes = b"x", mode: int = stat.S_IFREG | 0o644, **more: int) -> bytes:
    """A sound model, and one entry that an honest upload does not hold."""
    stream = BytesIO(zipped(trained("0" * 40)))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.filename = name
        entry.external_attr = mode << 16
        entry.compress_type = more.get("method", zipfile.ZIP_DEFLATED)
        archive.writestr(entry, content)
    return stream.getvalue()


ENTRIES = {
    "parent": hostile("model/../../evil"),
    "absolute": hostile("/etc/evil"),
    "backslash": hostile("model\\..\\evil"),
    "drive": hostile("C:/evil"),
    "link": hostile("model/link", b"/etc/passwd", stat.S_IFLNK | 0o777),
    "link for a folder": hostile("build", b"/etc", stat.S_IFLNK | 0o777),
    "device": hostile("model/zero", b"", stat.S_IFCHR | 0o666),
    "pipe": hostile("model/pipe", b"", stat.S_IFIFO | 0o666),
    "twice": hostile("model/MODEL.skops"),
    "method": hostile("model/x", b"x" * 9, method=zipfile.ZIP_LZMA),
    "no zip": b"not a zip file",
    "cut off": zipped(trained("0" * 40))[:-30],
    "nothing": b"",
}


@pytest.mark.parametrize("content", ENTRIES.values(), ids=ENTRIES)
def test_nothing_hostile_is_unpacked(tmp_path: Path, content: bytes) -> None:
    target = tmp_path / "a" / "target"
    target.mkdir(parents=True)
    with pytest.raises(UserError, match="The artifact"):
        handover.unpack(BytesIO(content), target)
    assert content_of(tmp_path) == {}


def test_a_hostile_artifact_changes_nothing(site: Site) -> None:
    hand_over(site, ENTRIES["parent"])
    refused(site, "has a name that leaves its folder")
    assert not (site.project / "evil").exists()


def test_a_broken_entry_is_noticed(site: Site) -> None:
    content = bytearray(zipped(trained(head(site))))
    with zipfile.ZipFile(BytesIO(bytes(content))) as archive:
        entry = archive.getinfo("reports/run.json")
        start = entry.header_offset + 30 + len(entry.filename)
    content[start + 5] ^= 0xFF
    hand_over(site, bytes(content))
    refused(site, "The artifact is not a sound zip file")


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [
        ("MAX_ZIP_BYTES", 200, "more than 200 bytes"),
        ("MAX_UNPACKED_BYTES", 20, "unpacks to more than 20 bytes"),
        ("MAX_ENTRIES", 3, "at most 3 are read"),
    ],
)
def test_nothing_too_large_is_unpacked(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, limit: int, said: str
) -> None:
    monkeypatch.setattr(handover, name, limit)
    refused(site, said)


def test_a_model_of_zeros_is_no_bomb(site: Site) -> None:
    hand_over(site, zipped(trained(head(site), bytes(4 * 1024 * 1024))))
    assert adopt(site)["adopted"] == "true"


def test_another_run_than_the_pull_requests_is_not_taken(site: Site) -> None:
    other = site.propose("other", {"src/model.py": "depth = 7\n"})
    run = site.train(other)
    refused(site, "No successful run", run=str(run.id))
    refused(site, "There is no run", run="")
    refused(site, "There is no run", run="901/../902")


def test_what_changed_since_it_was_found_is_seen(site: Site) -> None:
    site.forge.state.runs[0].conclusion = "failure"
    refused(site, "No successful run")


def test_another_commit_than_was_found_is_seen(site: Site) -> None:
    refused(site, "has another build key", key="0" * 64)
    key = site.verb("find")["build-key"]
    git(site.project, "checkout", "--quiet", "--detach", "HEAD~1")
    refused(site, "has another build key", key=key)


def test_an_api_that_fails_changes_nothing(site: Site) -> None:
    key = site.verb("find")["build-key"]
    site.forge.trouble("GET", "/zip$", troubles.READ_ONLY)
    refused(site, "GitHub refused GET", key=key)


def test_when_one_folder_cannot_be_moved_none_is(tmp_path: Path) -> None:
    project, new, old = (tmp_path / name for name in ("project", "new", "old"))
    write(project, {"build/x": b"1", "model/x": b"1", "reports/x": b"1"})
    write(new, {"build/x": b"2", "model/x": b"2"})  # reports/ is missing, so its move fails
    old.mkdir()
    before = content_of(project)
    with pytest.raises(UserError, match="reports cannot be replaced"):
        handover.replace(new, old, project)
    assert content_of(project) == before
    assert content_of(old) == {}


def test_a_link_in_the_project_is_replaced_and_not_followed(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"model.skops": b"precious"})
    for path in sorted((site.project / "model").iterdir()):
        path.unlink()
    (site.project / "model").rmdir()
    (site.project / "model").symlink_to(outside)
    assert adopt(site)["adopted"] == "true"
    assert not (site.project / "model").is_symlink()
    assert content_of(outside) == {"model.skops": b"precious"}


def test_a_project_that_cannot_be_written_to_is_one_clear_error(site: Site) -> None:
    found = TakeOver(901, site.forge.state.artifacts[0].id, 1, head(site))
    where = Search(GitHub(site.forge.api_url, "token"), "octo/model", Git(site.project))
    with pytest.raises(UserError, match="cannot be written to"):
        handover.take_over(where, found, site.folder / "nowhere")
