"""The questions' answers, and few rows of them in which every pair of answers occurs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations, product

from tools.template_files import ROOT

Row = dict[str, str]
Pair = tuple[tuple[str, str], tuple[str, str]]


def choices() -> dict[str, list[str]]:
    """Questions with a fixed list of answers."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    return {
        name: answers for name, answers in questions.items() if isinstance(answers, list) and name[0] != "_"
    }


def pairs(row: Mapping[str, str]) -> set[Pair]:
    return set(combinations(row.items(), 2))


def pairwise(questions: Mapping[str, Sequence[str]]) -> list[Row]:
    """Rows that cover every pair of answers of two questions; greedy, hence small but not the smallest."""
    rows = [dict(zip(questions, answers, strict=True)) for answers in product(*questions.values())]
    missing = set().union(*(pairs(row) for row in rows))
    chosen = []
    while missing:
        best = max(rows, key=lambda row: len(pairs(row) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


# Their addresses hold what only a team knows, so that no default can be right.
_IMAGES = {
    "ecr": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tumour-triage",
    "gar": "europe-west3-docker.pkg.dev/shop/models/tumour-triage",
    "acr": "shop.azurecr.io/tumour-triage",
    "other": "registry.example.org/team/tumour-triage",
}


def complete(row: Row) -> Row:
    """`row` with the answers that some of its answers ask for."""
    image = _IMAGES.get(row["registry"])
    return row if image is None else {**row, "image_repository": image}


def row_id(row: Mapping[str, str]) -> str:
    return "-".join(row.values())
