"""The page with the form: a field per column, nothing from elsewhere, and no name that could break out of it."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from serving import Served

from << cookiecutter.package_name >>.contract import Feature
from << cookiecutter.package_name >>.service import page


class Seen(HTMLParser):
    """Every element of a page with its attributes, and the text of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] in ("script", "style"):
            self.raw.setdefault(self.elements[-1][0], data)

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


def fields(seen: Seen) -> dict[str | None, dict[str, str | None]]:
    return {found["data-column"]: found for found in seen.all("input", "select") if "data-column" in found}


def test_every_column_has_a_labelled_field(any_served: Served) -> None:
    seen = Seen(any_served.client.get("/docs").text)
    found = fields(seen)
    labelled = {label["for"] for label in seen.all("label")}
    hinted = {hint.get("id") for hint in seen.all("small")}
    assert list(found) == [feature.name for feature in any_served.contract.features]
    for feature in any_served.contract.features:
        field = found[feature.name]
        assert field["id"] in labelled
        assert field["aria-describedby"] in hinted
        assert field["data-type"] == feature.type
        assert ("required" in field) == (not feature.nullable)


def test_it_loads_nothing_and_runs_only_what_its_policy_names(served: Served) -> None:
    answered = served.client.get("/docs")
    seen = Seen(answered.text)
    addresses = [value for _, found in seen.elements for name, value in found.items() if name in ("src", "href")]
    assert addresses
    assert all(address is not None and re.match(r"data:|[a-z.]+$", address) for address in addresses)
    policy = answered.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(seen.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not [name for _, found in seen.elements for name in found if name.startswith("on") or name == "style"]


def test_names_are_text_whatever_they_hold(served: Served) -> None:
    hostile = "\"><script>alert(1)</script>&amp;'</style>"
    features = [
        Feature(name=hostile, type="category", nullable=False, categories=[hostile]),
        Feature(name=f"{hostile} 2", type="number", nullable=True, minimum=0, maximum=1),
    ]
    contract = served.contract.model_copy(update={"model_name": hostile, "target": hostile, "features": features})
    described = {"paths": {hostile: {"get": {"summary": hostile}}}}
    seen = Seen(page.of(contract, served.service.version, described, explains=True).html)
    assert len(seen.all("script")) == 1
    assert len(seen.all("style")) == 1
    found = fields(seen)
    assert list(found) == [hostile, f"{hostile} 2"]
    assert found[hostile]["value"] == hostile
