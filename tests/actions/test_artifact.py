"""An artifact is opened as a stranger's parcel."""

from __future__ import annotations

import json
import stat
import struct
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from gitops_ml import artifact
from gitops_ml.artifact import parse_report, report_from_zip
from gitops_ml.errors import UserError

from tests.actions import samples

GOOD = samples.as_json(samples.report())


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def archive(*extra: tuple[zipfile.ZipInfo, bytes], report: str | bytes | None = GOOD) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        if report is not None:
            made.writestr(entry("report.json"), report)
        for info, content in extra:
            made.writestr(info, content)
    return buffer.getvalue()


def test_the_report_comes_back_as_it_was_sent() -> None:
    assert (
        report_from_zip(archive((entry("report.html"), b"<p>"), (entry("plots/roc.svg"), b"<svg/>")))
        == samples.report()
    )


def test_nothing_is_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report_from_zip(archive((entry("evil.py"), b"x")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "/etc/passwd",
        "..",
        "./x",
        "a//b",
        "C:/x",
        "a\\..\\b",
        "x\0.json",
        "report.json/../y",
    ],
    ids=ascii,
)
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    info = entry("placeholder")
    info.filename = info.orig_filename = name
    with pytest.raises(UserError, match="leaves its folder"):
        report_from_zip(_with_raw_name(name))


def _with_raw_name(name: str) -> bytes:
    """An archive with `name` exactly as given; `zipfile` itself would tidy it up."""
    stand_in = "N" * len(name.encode())
    return archive((entry(stand_in), b"x")).replace(stand_in.encode(), name.encode())


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_refused(kind: int) -> None:
    with pytest.raises(UserError, match="link or a device"):
        report_from_zip(archive((entry("x", kind | 0o777), b"/etc/passwd")))


def test_a_report_that_is_a_link_is_refused() -> None:
    content = archive((entry("report.json", stat.S_IFLNK | 0o777), b"/etc/passwd"), report=None)
    with pytest.raises(UserError, match="link or a device"):
        report_from_zip(content)


@pytest.mark.parametrize("names", [("a", "a"), ("Report.json",), ("report.json",)])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_stand_twice_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match="stands there twice"):
        report_from_zip(archive(*((entry(name), b"x") for name in names)))


def test_too_many_entries_are_refused() -> None:
    with pytest.raises(UserError, match="201 entries"):
        report_from_zip(archive(*((entry(f"f{number}"), b"") for number in range(200))))


def test_an_entry_that_grows_too_much_is_refused() -> None:
    with pytest.raises(UserError, match="grows more than 200 times"):
        report_from_zip(archive((entry("bomb"), b"\0" * 10_000_000)))


def test_a_report_that_is_too_large_is_refused() -> None:
    import random

    noise = "".join(random.Random(0).choices("abcdefghijklmnop", k=artifact.MAX_REPORT_BYTES))
    with pytest.raises(UserError, match="more than 2,097,152 bytes"):
        report_from_zip(archive(report=json.dumps({"x": noise})))


def test_a_report_whose_size_is_a_lie_is_refused() -> None:
    content = bytearray(archive(report=" " * 3000 + GOOD))
    directory = content.rindex(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 10)
    with pytest.raises(UserError):
        report_from_zip(bytes(content))


def test_an_artifact_over_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact, "MAX_ZIP_BYTES", 100)
    with pytest.raises(UserError, match="at most 100"):
        report_from_zip(archive())


def test_an_encrypted_entry_is_refused() -> None:
    content = bytearray(archive())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UserError, match="encrypted"):
        report_from_zip(bytes(content))


def test_an_encrypted_entry_beside_the_report_is_refused_too() -> None:
    content = bytearray(archive((entry("other"), b"x")))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(UserError, match="encrypted"):
        report_from_zip(bytes(content))


def test_an_exotic_compression_is_refused() -> None:
    info = entry("x")
    info.compress_type = zipfile.ZIP_LZMA
    with pytest.raises(UserError, match="in a way that is not read"):
        report_from_zip(archive((info, b"x")))


@pytest.mark.parametrize("damage", [
    lambda content: b"",
    lambda content: b"not a zip",
    lambda content: content[: len(content) // 2],
    lambda content: content[:60] + b"\xff" * 40 + content[100:],
], ids=["empty", "text", "cut", "overwritten"])  # fmt: skip
def test_a_damaged_file_is_one_clear_error(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UserError, match=r"artifact"):
        report_from_zip(damage(archive()))


def test_without_a_report_it_says_what_to_upload() -> None:
    with pytest.raises(UserError, match=r"holds no report\.json") as caught:
        report_from_zip(archive((entry("sub/report.json"), GOOD.encode()), report=None))
    assert "at the top of the artifact" in caught.value.fix


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda value: value.update(verdict="great"), "verdict"),
        (lambda value: value.update(extra=1), "extra"),
        (lambda value: value.update(schema=2), "schema"),
        (lambda value: value.pop("model"), "model"),
        (lambda value: value.update(notes=["x" * 501]), "notes.0"),
        (lambda value: value.update(notes=["x"] * 51), "notes"),
        (lambda value: value.update(confidence=1.5), "confidence"),
        (lambda value: value["head"].update(commit="g" * 40), "head.commit"),
        (lambda value: value["head"].update(seed="7"), "head.seed"),
        (lambda value: value["comparisons"][0]["metrics"][0].update(head=True), "metrics.0.head"),
        (lambda value: value["comparisons"][0].update(metrics=[{}] * 201), "metrics"),
    ],
)
def test_a_report_that_breaks_the_schema_names_the_key(
    damage: Callable[[dict[str, object]], object], words: str
) -> None:
    value = samples.as_dict(samples.report())
    damage(value)
    with pytest.raises(UserError, match=words):
        parse_report(json.dumps(value), Path("report.json"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"schema": NaN}',
        '{"schema": 1e400}',
        '{"schema": -Infinity}',
        "[" * 100_000,
        '{"a":' * 5000 + "1" + "}" * 5000,
        GOOD[:-1] + ', "verdict": "pass"}',
        '{"schema": ' + "9" * 5000 + "}",
        "{'schema': 1}",
    ],
    ids=lambda text: text[:20],
)
def test_json_is_read_strictly(text: str) -> None:
    with pytest.raises(UserError, match=r"report\.json"):
        parse_report(text, Path("report.json"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "latin-1"])
def test_other_encodings_are_refused(encoding: str) -> None:
    content = GOOD.replace("Trained", "Trainé").encode(encoding)
    with pytest.raises(UserError):
        report_from_zip(archive(report=content))


def test_a_byte_order_mark_is_no_harm() -> None:
    assert report_from_zip(archive(report=b"\xef\xbb\xbf" + GOOD.encode())) == samples.report()
