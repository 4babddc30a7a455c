"""`python -m tools.check_syntax FILE...`: YAML and JSON files can be read and hold no key twice."""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.template_files import PROJECT_FOLDER


class _UniqueKeys(yaml.SafeLoader):
    """YAML's readers keep the last of two equal keys without a word; here the second is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return found


def problem(path: Path) -> str | None:
    """Why `path` cannot be read, or None."""
    try:
        text = path.read_text(encoding="utf-8")
        if PROJECT_FOLDER in path.parts and "<% " in text:
            return None  # two variants in one file; tests/template reads what is rendered from it
        if path.suffix == ".json":
            json.loads(text, object_pairs_hook=_unique)
        else:
            list(yaml.load_all(text, Loader=_UniqueKeys))
    except (ValueError, yaml.YAMLError) as error:
        return f"{path}: {error}"
    return None


def main(names: Sequence[str]) -> int:
    found = [text for name in names if (text := problem(Path(name))) is not None]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
