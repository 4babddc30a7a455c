"""The page `/docs`: a form with one field per column of the model, and what else the service can be asked.

It is made of this package's files alone and loads nothing from elsewhere: it works without internet, and its content
security policy lets nothing run that is not in these files.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from ..contract import Contract, Feature
from .schema import LARGEST, MOST_SHOWN, example, predict_example
from .version import Version

_STYLE, _SCRIPT = (Path(__file__).with_name(f"page.{kind}") for kind in ("css", "js"))


@dataclass(frozen=True)
class Page:
    html: str
    headers: dict[str, str]


def of(contract: Contract, version: Version, described: dict[str, Any], explains: bool) -> Page:
    """The page of one model; `described` is the service's OpenAPI, `explains` whether it can explain an answer."""
    style, script = (path.read_text(encoding="utf-8") for path in (_STYLE, _SCRIPT))
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(contract.model_name)}: predict {escape(contract.target)}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<header>
<h1>{escape(contract.model_name)}</h1>
<p>Predicts <b>{escape(contract.target)}</b> from {_counted(len(contract.features), "column")}.</p>
<dl>{_facts(version)}</dl>
</header>
<main>
<form id="form">
<h2>Ask for one prediction</h2>
<p>The values are made up, in the middle of what training saw.</p>
<div class="fields">
{"".join(_field(place, feature) for place, feature in enumerate(contract.features))}</div>
{_EXPLAIN if explains else ""}
<p class="buttons"><button>Predict</button> <button type="reset">Back to the example</button></p>
<noscript><p>The form needs JavaScript; the example below does not.</p></noscript>
</form>
<section id="answer" aria-live="polite" hidden></section>
<section>
<h2>From a program</h2>
<p>The same request. More records in the list give more predictions, in their order.</p>
<pre tabindex="0"><code id="request">{escape(_command(contract))}</code></pre>
</section>
<section>
<h2>What else can be asked</h2>
<p><a href="openapi.json">openapi.json</a> describes every request and answer for programs.</p>
<div class="wide" tabindex="0" role="region" aria-label="Addresses"><table>
<thead><tr><th>Method</th><th>Address</th><th>What it gives</th></tr></thead>
<tbody>{_addresses(described)}</tbody>
</table></div>
</section>
</main>
<script>{script}</script>
</body>
</html>
"""
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; connect-src 'self';"
        " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, {"content-security-policy": policy, "x-content-type-options": "nosniff"})


_EXPLAIN = """<p class="tick"><input type="checkbox" id="explain">
<label for="explain">Say what each column contributed</label></p>"""


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _facts(version: Version) -> str:
    facts = {
        "release": version.release,
        "commit": version.commit[:12],
        "model": version.model_hash[:12],
        "data": version.data_hash[:12],
    }
    return "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())


def _field(place: int, feature: Feature) -> str:
    """A label, an input of the column's kind that holds the example, and what training saw."""
    name, identity = escape(feature.name), f"field-{place}"
    common = f'id="{identity}" data-column="{name}" data-type="{feature.type}" aria-describedby="{identity}-hint"'
    common += "" if feature.nullable else " required"
    shown = escape(str(example(feature)))
    after = ""
    if feature.type == "boolean":
        empty = "<option></option>" if feature.nullable else ""
        control = f"<select {common}>{empty}<option selected>true</option><option>false</option></select>"
    elif feature.type == "category":
        options = "".join(f"<option>{escape(known)}</option>" for known in feature.categories or [])
        control = f'<input {common} list="{identity}-list" autocomplete="off" value="{shown}">'
        after = f'<datalist id="{identity}-list">{options}</datalist>'
    elif feature.type == "datetime":
        control = f'<input {common} type="datetime-local" step="1" max="9998-12-31T23:59" value="{shown}T00:00">'
    else:
        bounds = f'step="1" min="{-LARGEST:.0f}" max="{LARGEST:.0f}"' if feature.type == "integer" else 'step="any"'
        control = f'<input {common} type="number" {bounds} value="{shown}">'
    hint = f'<small id="{identity}-hint">{escape(_hint(feature))}</small>'
    return f'<div class="field"><label for="{identity}">{name}</label>{control}{after}{hint}</div>\n'


def _hint(feature: Feature) -> str:
    said = []
    if feature.type == "category":
        known = feature.categories or []
        more = f" and {len(known) - MOST_SHOWN} more" if len(known) > MOST_SHOWN else ""
        said.append("in training " + ", ".join(known[:MOST_SHOWN]) + more)
    elif feature.minimum is not None and feature.maximum is not None:
        said.append(f"in training {feature.minimum:g} to {feature.maximum:g}")
    if feature.type == "integer":
        said.insert(0, "a whole number")
    if feature.nullable:
        said.append("may stay empty")
    return "; ".join(said)


def _command(contract: Contract) -> str:
    body = json.dumps(predict_example(contract), ensure_ascii=False).replace("'", r"\u0027")
    return f"curl --json '{body}' http://127.0.0.1:8000/predict"


def _addresses(described: dict[str, Any]) -> str:
    rows = []
    for path, methods in described["paths"].items():
        for method, told in methods.items():
            cells = (f"{method.upper()}", f"<code>{escape(path)}</code>", escape(told.get("summary", "")))
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join(rows)
