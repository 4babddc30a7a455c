"""Completion of the command line in bash, zsh and fish: one script per shell, written from the parser itself.

Written here and not with a library, because it is one walk over argparse's own tables, and a library would be one more
package among those that jobs with tokens install. A script is plain text that starts no Python while somebody types.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

# The names of the environments are files of the folder that somebody stands in.
ENVIRONMENTS = "environment"


@dataclass(frozen=True)
class Option:
    """`takes` is None for a flag, else the words that its value can be; without any, files are offered."""

    names: tuple[str, ...]
    help: str
    takes: tuple[str, ...] | None = None
    environment: bool = False


@dataclass(frozen=True)
class Command:
    """`path` are the words after the program's name; `words` what can follow them, with a description of each."""

    path: tuple[str, ...]
    options: tuple[Option, ...]
    words: Mapping[str, str]

    @property
    def name(self) -> str:
        return " ".join(self.path)


def commands(parser: argparse.ArgumentParser, path: tuple[str, ...] = ()) -> Iterator[Command]:
    """The command at `path` and all below it."""
    options: list[Option] = []
    words: dict[str, str] = {}
    below: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # argparse has no other way to ask it
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            words |= {one.dest: _plain(one.help or "") for one in action._choices_actions}
        elif not action.option_strings:
            words |= dict.fromkeys(map(str, action.choices or ()), _plain(action.help or ""))
        elif action.help != argparse.SUPPRESS:
            takes = None if action.nargs == 0 else tuple(map(str, action.choices or ()))
            names = tuple(action.option_strings)
            options.append(Option(names, _plain(action.help or ""), takes, f"--{ENVIRONMENTS}" in names))
    yield Command(path, tuple(options), words)
    for name, child in below.items():
        yield from commands(child, (*path, name))


def _plain(text: str) -> str:
    """A description on one line without the marks that mean something between the quotes of some shell."""
    return " ".join(re.sub(r"[^\w ,./()='-]", " ", text).split())[:100]


def load(parser: argparse.ArgumentParser) -> None:
    """Load the options of all verbs into the parser of the command line; a verb without its packages has none."""
    (verbs,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name, command in verbs.choices.items():
        try:
            module = import_module(f"gitops_ml.verbs.{name}")
        except ImportError:
            continue
        if not any(one.dest != "help" for one in command._actions):
            module.add_arguments(command)


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """The script for `shell`, one of `SHELLS`."""
    return SHELLS[shell](list(commands(parser)))


def _steps(found: Sequence[Command]) -> list[str]:
    """For each command the path above it, and the word that leads from there to it."""
    return [f"{' '.join(one.path[:-1])} {one.path[-1]}" for one in found if one.path]


def _pattern(texts: Sequence[str]) -> str:
    """What a `case` of bash and zsh takes for any of `texts`."""
    return " | ".join(map(shlex.quote, texts))


_BASH = """\
# Completion of gitops-ml for bash. In ~/.bashrc: eval "$(gitops-ml completion bash)"
_gitops_ml_environments() {{
  local file
  for file in environments/*.yaml; do
    file="${{file##*/}}"
    case "$file" in pipeline.yaml | revoked.yaml | "*.yaml") ;; *) echo "${{file%.yaml}}" ;; esac
  done
}}
_gitops_ml() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}" command="" words="" index
  # bash counts the = of --name=value as a word of its own.
  if [[ "$current" == "=" ]]; then current=""; fi
  if [[ "$previous" == "=" ]]; then previous="${{COMP_WORDS[COMP_CWORD-2]}}"; fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    case "$command ${{COMP_WORDS[index]}}" in
      {transitions}) command="${{command:+$command }}${{COMP_WORDS[index]}}" ;;
    esac
  done
  case "$command $previous" in
{values}
    *)
      case "$command" in
{words}
      esac
      ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
# Where nothing is offered, as for most values, files are.
complete -o bashdefault -o default -F _gitops_ml gitops-ml
"""


def _bash(found: Sequence[Command]) -> str:
    patterns: dict[str, list[str]] = {}
    for one in found:
        for option in one.options:
            if option.takes is not None:
                offered = shlex.quote(" ".join(option.takes))
                offered = '"$(_gitops_ml_environments)"' if option.environment else offered
                patterns.setdefault(offered, []).extend(f"{one.name} {name}" for name in option.names)
    values = [f"    {_pattern(names)}) words={offered} ;;" for offered, names in patterns.items()]
    words = []
    for one in found:
        every = [*one.words, *(name for option in one.options for name in option.names)]
        words.append(f"        {shlex.quote(one.name)}) words={shlex.quote(' '.join(every))} ;;")
    return _BASH.format(transitions=_pattern(_steps(found)), values="\n".join(values), words="\n".join(words))


_ZSH = """\
#compdef gitops-ml
# Completion of gitops-ml for zsh. In ~/.zshrc, after compinit: eval "$(gitops-ml completion zsh)"
_gitops_ml_environments() {{
  local -a names
  names=(environments/*.yaml(N:t:r))
  compadd -- ${{names:#(pipeline|revoked)}}
}}
_gitops_ml() {{
  local command="" index depth=0
  local -a offered
  for ((index = 2; index < CURRENT; index++)); do
    case "$command ${{words[index]}}" in
      ({transitions}) command="${{command:+$command }}${{words[index]}}" depth=$((index - 1)) ;;
    esac
  done
  # _arguments takes the first word for the command.
  words=("${{(@)words[depth + 1, -1]}}")
  ((CURRENT -= depth))
  case "$command" in
{words}
  esac
}}
if [ "$funcstack[1]" = "_gitops_ml" ]; then
  _gitops_ml "$@"
else
  compdef _gitops_ml gitops-ml
fi
"""


def _zsh(found: Sequence[Command]) -> str:
    cases = []
    for one in found:
        lines = [f"    ({shlex.quote(one.name)})"]
        if one.words:
            listed = " ".join(shlex.quote(f"{word}:{text}") for word, text in one.words.items())
            lines.append(f"      offered=({listed})")
            lines.append("      [[ ${words[CURRENT]} == -* ]] || _describe -t commands word offered")
        specs = " ".join(_zsh_option(option) for option in one.options)
        lines.append(f"      _arguments {specs}\n      ;;")
        cases.append("\n".join(lines))
    return _ZSH.format(transitions=_pattern(_steps(found)), words="\n".join(cases))


def _zsh_option(option: Option) -> str:
    told = f"[{option.help}]"
    if option.takes is None:
        action = ""
    elif option.environment:
        action = ":name:_gitops_ml_environments"
    else:
        action = f":value:({' '.join(option.takes)})" if option.takes else ":value:_files"
    return " ".join(shlex.quote(f"{name}{told}{action}") for name in option.names)


_FISH = """\
# Completion of gitops-ml for fish. In ~/.config/fish/config.fish: gitops-ml completion fish | source
function __gitops_ml_environments
  for file in environments/*.yaml
    set --local name (basename $file .yaml)
    contains $name pipeline revoked; or echo $name
  end
end
function __gitops_ml_at
  set --local at
  for word in (commandline -opc)[2..]
    switch "$at $word"
      case {transitions}
        set at (string trim "$at $word")
    end
  end
  test "$at" = "$argv"
end
complete --command gitops-ml --no-files
{lines}
"""


def _fish(found: Sequence[Command]) -> str:
    lines = []
    for one in found:
        here = shlex.quote(f"__gitops_ml_at {one.name}".strip())
        start = f"complete --command gitops-ml --condition {here}"
        for word, text in one.words.items():
            lines.append(f"{start} --arguments {word} --description {shlex.quote(text)}")
        for option in one.options:
            lines.append(f"{start} {_fish_option(option)} --description {shlex.quote(option.help)}")
    return _FISH.format(transitions=" ".join(map(shlex.quote, _steps(found))), lines="\n".join(lines))


def _fish_option(option: Option) -> str:
    names = " ".join(
        f"--long-option {name[2:]}" if name.startswith("--") else f"--short-option {name[1:]}"
        for name in option.names
    )
    if option.takes is None:
        return names
    if option.environment:
        return f"{names} --exclusive --arguments '(__gitops_ml_environments)'"
    if option.takes:
        return f"{names} --exclusive --arguments {shlex.quote(' '.join(option.takes))}"
    return f"{names} --require-parameter --force-files"


SHELLS: Mapping[str, Callable[[Sequence[Command]], str]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
