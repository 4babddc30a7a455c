"""Untrusted JSON and YAML: what is refused, and that the message names the place."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest
from gitops_ml.errors import UserError
from gitops_ml.inputs import check_name, load_json, parse_json, read_bytes
from gitops_ml.strict_yaml import load_yaml
from hypothesis import given
from hypothesis import strategies as st

REFUSED_JSON = {
    "a key twice": ('{"a": 1, "a": 2}', "'a' stands twice"),
    "a nested key twice": ('{"b": {"a": 1, "a": 2}}', "'a' stands twice"),
    "NaN": ('{"b": {"a": NaN}}', "key 'b.a': not a finite"),
    "infinity": ('{"a": [1, -Infinity]}', "key 'a.1': not a finite"),
    "beyond a float": ('{"a": 1e400}', "key 'a': not a finite"),
    "too many digits": ('{"a": ' + "9" * 5000 + "}", "too many digits"),
    "nested too deep": ('{"a": ' + "[" * 30 + "]" * 30 + "}", "nested deeper"),
    "nested absurdly deep": ("[" * 100_000, "nested deeper"),
    "half a character": ('{"a": "\\ud800"}', "half a surrogate pair"),
    "half a character in a key": ('{"\\udc00": 1}', "half a surrogate pair"),
    "cut off": ('{"a":\n', "line 2"),
    "empty": ("", "line 1"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_JSON.values(), ids=REFUSED_JSON)
def test_json_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_json(path)
    assert message in caught.value.message
    assert str(path) in caught.value.message


def test_json_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    path.write_bytes(b'{"a":\n "\xff"}')
    with pytest.raises(UserError, match="line 2: not valid UTF-8"):
        load_json(path)


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    with path.open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    with pytest.raises(UserError, match="at most 5,242,880"):
        load_json(path)


def test_a_link_a_folder_a_pipe_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, message in {
        "link": "symbolic link",
        "folder": "not a regular file",
        "pipe": "not a regular file",
        "nothing": "does not exist",
    }.items():
        with pytest.raises(UserError, match=message):
            read_bytes(tmp_path / name, 100)
    assert read_bytes(tmp_path / "real", 100) == b"{}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_json_that_is_sound_is_read_as_json_reads_it(value: object) -> None:
    assert parse_json(json.dumps({"value": value}), Path("x.json")) == {"value": value}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_but_never_crashes(text: str) -> None:
    with contextlib.suppress(UserError):
        parse_json(text, Path("x.json"))


@pytest.mark.parametrize("name", ["", "  ", "a" * 81, "a\nb", "a\x1b[31m", "a\u202eb", "a\u2028b", "a\x00"])
def test_names_with_control_characters_or_no_sane_length_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"a name is empty|more than 80|control or direction"):
        check_name(name, "metrics.json")


REFUSED_YAML = {
    "a key twice": ("a: 1\nb: 2\na: 3\n", "line 3, key 'a': the key stands twice"),
    "an anchor": ("a: &x [1]\nb: *x\n", "line 1: anchors"),
    "a bomb of aliases": ("a: [&a x, *a, *a]\n", "line 1: anchors"),
    "a merge key": ("a:\n  <<: {b: 1}\n", "line 2: merge keys"),
    "a tag": ("a: !!python/object:os.system x\n", "line 1: tags are not read"),
    "not finite": ("a: 1\nb: .nan\n", "line 2: '.nan' is not a finite"),
    "beyond a float": ("a: 1e400\n", "line 1: '1e400' is not a finite"),
    "a key that is a list": ("? [a]\n: 1\n", "line 1: a key must be a word"),
    "nested too deep": ("[" * 30 + "]" * 30, "nested deeper"),
    "not YAML": ("a: [1\n", "line 2"),
    "a control character": ("a: \x01\n", "characters that YAML does not allow"),
    "half a character": ('a: "\\ud800"\n', "half a surrogate pair"),
    "two documents": ("a: 1\n---\na: 2\n", "line 2"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED_YAML.values(), ids=REFUSED_YAML)
def test_yaml_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_yaml(path)
    assert message in caught.value.message


def test_yaml_words_are_what_they_look_like(tmp_path: Path) -> None:
    path = tmp_path / "gates.yaml"
    path.write_text("a: 1e-3\nb: yes\nc: 0.5\nd: 7\ne: '7'\nf: true\ng: ~\nh: 2026-01-31\ni: 0o7\n")
    assert load_yaml(path).value == {
        "a": 0.001, "b": "yes", "c": 0.5, "d": 7, "e": "7", "f": True, "g": None, "h": "2026-01-31", "i": "0o7",
    }  # fmt: skip
