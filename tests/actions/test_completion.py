"""Completion of the command line: what each shell offers for each verb, and what becomes of what somebody types."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from gitops_ml import cli
from gitops_ml.completion import SHELLS, Command, commands, load, script

from tests.tools.required import need

PATIENCE_S = 60
# A verb and an option by their beginnings, then the name of an environment, then a verb below a verb.
TYPED = {
    "gitops-ml roll\t--env\tprod\t": "rollback --environment production",
    "gitops-ml rel\trec\t--trai\tmai\t": "release record --trained main",
    "gitops-ml comp\tzs\t": "completion zsh",
    "gitops-ml dash\t--output rep\t": "dashboard --output reports.html",
}


@pytest.fixture(scope="module")
def every() -> list[Command]:
    parser = cli.build_parser()
    load(parser)
    return list(commands(parser))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project to stand in."""
    (tmp_path / "environments").mkdir()
    for name in ("pipeline", "production", "revoked", "staging"):
        (tmp_path / "environments" / f"{name}.yaml").touch()
    (tmp_path / "reports.html").touch()
    return tmp_path


def written(shell: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script that the verb prints, in a file."""
    assert cli.main(["completion", shell]) == 0
    path = folder / f"completion.{shell}"
    path.write_text(capsys.readouterr().out, encoding="utf-8")
    return path


def run(command: list[str], folder: Path) -> list[str]:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split("\n--\n")


def of_bash(script: Path, lines: list[list[str]], folder: Path) -> list[set[str]]:
    """What bash offers for the last word of each line."""
    asked = [f"source {shlex.quote(str(script))}"]
    for words in lines:
        asked.append(f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _gitops_ml")
        asked.append('printf "%s\\n" "${COMPREPLY[@]}"; printf -- "\\n--\\n"')
    said = run([str(need("bash")), "--norc", "-c", "\n".join(asked)], folder)
    return [set(one.split()) for one in said[: len(lines)]]


def of_fish(script: Path, lines: list[list[str]], folder: Path) -> list[set[str]]:
    """What fish offers for the last word of each line."""
    asked = [f"source {shlex.quote(str(script))}"]
    for words in lines:
        asked.append(f"complete -C {shlex.quote(' '.join(words))}; printf '\\n--\\n'")
    said = run([str(need("fish")), "--no-config", "-c", "\n".join(asked)], folder)
    return [{line.split("\t")[0] for line in one.splitlines() if line} for one in said[: len(lines)]]


OFFERED: dict[str, Callable[[Path, list[list[str]], Path], list[set[str]]]] = {
    "bash": of_bash,
    "fish": of_fish,
}


def test_the_parser_s_verbs_are_what_is_completed(every: list[Command]) -> None:
    assert set(every[0].words) == set(cli.VERBS)
    assert {one.name for one in every} >= {*cli.VERBS, "image build", "release record"}


@pytest.mark.parametrize("shell", OFFERED)
def test_each_verb_s_own_words_and_options_are_offered_and_no_others(
    shell: str, every: list[Command], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(shell)
    path = written(shell, folder, capsys)
    named = [one for one in every if one.words]
    found = OFFERED[shell](path, [["gitops-ml", *one.path, ""] for one in named], folder)
    for one, offered in zip(named, found, strict=True):
        assert {word for word in offered if not word.startswith("-")} == set(one.words), one.name
    found = OFFERED[shell](path, [["gitops-ml", *one.path, "--"] for one in every], folder)
    for one, offered in zip(every, found, strict=True):
        long = {name for option in one.options for name in option.names if name.startswith("--")}
        assert offered == long, one.name


@pytest.mark.parametrize("shell", OFFERED)
def test_values_are_offered_where_they_are_known(
    shell: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    need(shell)
    path = written(shell, folder, capsys)
    lines = [
        ["gitops-ml", "deploy", "--environment", ""],
        ["gitops-ml", "deploy", "--environment", "st"],
        ["gitops-ml", "release", "record", "--trained", ""],
    ]
    found = OFFERED[shell](path, lines, folder)
    assert found == [{"production", "staging"}, {"staging"}, {"pull-request", "run-cache", "main"}]
    # A verb's name that stands where a value does is no verb.
    assert (
        "--release" in OFFERED[shell](path, [["gitops-ml", "promote", "--remote", "deploy", "--"]], folder)[0]
    )


def test_bash_takes_a_value_after_an_equals_sign(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written("bash", folder, capsys)
    lines = [
        ["gitops-ml", "deploy", "--environment", "="],
        ["gitops-ml", "deploy", "--environment", "=", "p"],
    ]
    assert of_bash(path, lines, folder) == [{"production", "staging"}, {"production"}]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_typed_at_a_terminal_is_completed(
    shell: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(shell, folder, capsys)
    program = str(need(shell))
    own = f"source {shlex.quote(str(path))}\n"
    if shell == "bash":
        (folder / "rc").write_text(own + 'gitops-ml() { echo "RAN $*;"; }\n', encoding="utf-8")
        command = [program, "--noprofile", "--rcfile", str(folder / "rc"), "-i"]
    elif shell == "zsh":
        head = "autoload -U compinit; compinit -u -D\n"
        (folder / ".zshrc").write_text(head + own + 'gitops-ml() { echo "RAN $*;"; }\n', encoding="utf-8")
        command = [program, "-d", "-i"]
    else:
        head = own + 'function gitops-ml; echo "RAN $argv;"; end'
        command = [program, "--no-config", "--init-command", head, "-i"]
    assert at_a_terminal(command, folder, list(TYPED)) == list(TYPED.values())


def at_a_terminal(command: list[str], folder: Path, lines: list[str]) -> list[str]:
    """Type `lines` into the shell, each with return at its end; the words that its function `gitops-ml` was given."""
    ours, theirs = pty.openpty()
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ZDOTDIR": str(folder),
        "TERM": "xterm",
        "LANG": "C",
    }
    # A shell that somebody types into wants the terminal for its own.
    command = [str(need("setsid")), "--ctty", "--wait", *command]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environ
    ) as running:
        os.close(theirs)
        try:
            said, found = "", []
            deadline = time.monotonic() + PATIENCE_S
            for number, line in enumerate(lines, start=1):
                os.write(ours, f"{line}\r".encode())
                while len(found) < number:
                    assert time.monotonic() < deadline, said
                    assert running.poll() is None, said
                    if select.select([ours], [], [], 1)[0]:
                        said += os.read(ours, 65536).decode(errors="replace")
                        found = [one.strip() for one in re.findall(r"RAN ([^;$]*);", said)]
            return found
        finally:
            running.kill()
            os.close(ours)


def test_a_verb_whose_packages_are_not_installed_is_offered_without_options(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gitops_ml.verbs.diff", None)
    parser = cli.build_parser()
    load(parser)
    found = {one.name: one for one in commands(parser)}
    assert "diff" in found[""].words
    assert [option.names for option in found["diff"].options] == [("-h", "--help")]
    assert len(found["deploy"].options) > 1


@pytest.mark.parametrize("shell", SHELLS)
def test_no_description_acts_in_a_shell(shell: str, folder: Path) -> None:
    parser = cli.build_parser()
    (verbs,) = (one for one in parser._actions if one.dest == "verb")
    command = verbs.choices["gate"]  # type: ignore[index, call-overload]
    command.add_argument("--evil", help="it's $(touch evil) `touch evil` ]:[ \\ \" , touch evil\n#")
    (evil,) = (one for one in commands(parser) if one.name == "gate")
    assert evil.options[-1].help == "it's (touch evil) touch evil , touch evil"
    path = folder / "script"
    path.write_text(script(shell, parser), encoding="utf-8")
    head = "compdef() { :; }\n" if shell == "zsh" else ""
    run([str(need(shell)), "-c", f"{head}source {shlex.quote(str(path))}"], folder)
    assert not (folder / "evil").exists()
