"""GitHub's own OpenAPI description, as the judge of what the fake forge is asked and what it answers."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from jsonschema import Draft4Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

_BASE = "urn:description"
# Statuses that any request may get; the description lists them for some operations only.
_EVERYWHERE = {401, 403, 404, 429, 500, 502, 503}


class ContractError(AssertionError):
    """A request or an answer that GitHub's description does not allow."""


class Contract:
    """The description, with checks of single requests and answers."""

    def __init__(self, description: dict[str, Any]) -> None:
        self._description = description
        self._operations = [
            (template.strip("/").split("/"), operations)
            for template, operations in description["paths"].items()
        ]
        resource = Resource(contents=_draft4(description), specification=DRAFT4)
        self._registry: Registry[Any] = Registry().with_resource(_BASE, resource)

    @staticmethod
    @cache
    def load(path: Path) -> Contract:
        """The description in the file `path`."""
        return Contract(json.loads(path.read_text(encoding="utf-8")))

    def operation(self, method: str, path: str) -> dict[str, Any]:
        """What the description says about `method` on `path`; the template with most fixed parts wins."""
        parts = path.strip("/").split("/")
        found: list[tuple[int, dict[str, Any]]] = []
        for template, operations in self._operations:
            known = operations.get(method.lower())
            if known is None or not self._reaches(known, template, parts):
                continue
            fixed = [left == right for left, right in zip(template, parts, strict=False)]
            if all(same or part.startswith("{") for same, part in zip(fixed, template, strict=True)):
                found.append((sum(fixed), known))
        if not found:
            raise ContractError(f"GitHub's API has no {method} {path}")
        return max(found, key=lambda each: each[0])[1]

    def _reaches(self, operation: dict[str, Any], template: list[str], parts: list[str]) -> bool:
        """Whether a path of that many parts can be meant; the name of a reference may have slashes in it."""
        if len(parts) <= len(template):
            return len(parts) == len(template)
        known = map(self._resolve, operation.get("parameters", []))
        return any(each.get("x-multi-segment") and template[-1] == "{" + each["name"] + "}" for each in known)

    def check_request(self, method: str, path: str, query: str, body: Any) -> None:
        """Raise `ContractError` for an unknown or malformed query, or a body that is not what is described."""
        operation = self.operation(method, path)
        known = {each["name"]: each for each in map(self._resolve, operation.get("parameters", []))}
        for name, value in parse_qsl(query, keep_blank_values=True):
            parameter = known.get(name)
            if parameter is None or parameter["in"] != "query":
                raise ContractError(f"{method} {path} has no query parameter {name!r}")
            kind = parameter["schema"].get("type")
            self._check(
                int(value) if kind == "integer" and value.isdigit() else value, parameter["schema"], name
            )
        wanted = operation.get("requestBody")
        if wanted is None:
            if body is not None:
                raise ContractError(f"{method} {path} takes no body")
            return
        schema = wanted["content"]["application/json"]["schema"]
        self._check(body, schema, f"body of {method} {path}")
        unknown = set(body) - self._keys(schema) if isinstance(body, dict) else set()
        if unknown:
            raise ContractError(f"{method} {path}: unknown keys {sorted(unknown)}")

    def _keys(self, schema: dict[str, Any]) -> set[str]:
        """The keys that an object of `schema` may have."""
        schema = self._resolve(schema)
        parts = [part for choice in ("oneOf", "anyOf", "allOf") for part in schema.get(choice, ())]
        return set(schema.get("properties", {})).union(*map(self._keys, parts))

    def check_response(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: Any
    ) -> None:
        """Raise `ContractError` for a status or a body that is not described."""
        answers = self.operation(method, path)["responses"]
        answer = self._resolve(answers[str(status)]) if str(status) in answers else None
        if answer is None:
            if status not in _EVERYWHERE:
                raise ContractError(f"{method} {path} never answers {status}")
            self._check(body, {"$ref": "#/components/schemas/basic-error"}, f"error {status}")
            return
        if status == 302 and "Location" not in headers:
            raise ContractError(f"{method} {path}: a redirect without a Location")
        content = answer.get("content", {}).get("application/json")
        if content is None:
            # Of some errors the description says only when they come; their body is the usual one.
            if body is not None and status < 400:
                raise ContractError(f"{method} {path}: status {status} has no body")
            return
        self._check(body, content["schema"], f"answer {status} to {method} {path}")

    def complete(self, method: str, path: str, status: int, known: Any) -> Any:
        """`known` with everything else that the description requires, filled with the plainest values allowed."""
        answers = self.operation(method, path)["responses"]
        answer = self._resolve(answers[str(status)]) if str(status) in answers else {}
        content = answer.get("content", {}).get("application/json")
        return known if content is None else self._fill(content["schema"], known)

    def _fill(self, schema: dict[str, Any], known: Any) -> Any:
        schema = self._resolve(schema)
        if isinstance(known, list):
            return [self._fill(schema.get("items", {}), item) for item in known]
        if known is not None and not isinstance(known, dict):
            return known
        for choice in ("oneOf", "anyOf"):
            if choice in schema:
                return self._fill(schema[choice][0], known)
        if "allOf" in schema:
            return self._fill(schema["allOf"][0], known)
        if schema.get("nullable") and known is None:
            return None
        return self._fill_object(schema, known or {}) if "properties" in schema else known or _plain(schema)

    def _fill_object(self, schema: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
        filled = copy.deepcopy(known)
        for name in {*schema.get("required", []), *(known if known else ())}:
            part = schema["properties"].get(name, {})
            if name not in known or isinstance(known[name], dict | list):
                filled[name] = self._fill(part, known.get(name))
        return filled

    def _resolve(self, item: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in item:
            target: Any = self._description
            for part in item["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            item = target
        return item

    def _check(self, value: Any, schema: dict[str, Any], what: str) -> None:
        validator = Draft4Validator(_absolute(_draft4(schema)), registry=self._registry)
        error = next(validator.iter_errors(value), None)
        if error is not None:
            place = "/".join(map(str, error.absolute_path))
            raise ContractError(f"{what}, at {place or 'the top'}: {error.message[:300]}")


def _plain(schema: dict[str, Any]) -> Any:
    """The plainest value of a type."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type"):
        case "string":
            formats = {"date-time": "2026-01-01T00:00:00Z", "uri": "https://forge.invalid/x"}
            return formats.get(schema.get("format", ""), "x")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
        case "array":
            return []
        case _:
            return {}


def _draft4(node: Any) -> Any:
    """OpenAPI 3.0 schemas as JSON Schema: `nullable` becomes a choice, examples are dropped."""
    if isinstance(node, list):
        return [_draft4(item) for item in node]
    if not isinstance(node, dict):
        return node
    turned = {
        key: _draft4(value) for key, value in node.items() if key not in ("example", "examples", "nullable")
    }
    return {"anyOf": [{"type": "null"}, turned]} if node.get("nullable") is True else turned


def _absolute(node: Any) -> Any:
    """References into the description, written so that they are found from outside of it."""
    if isinstance(node, list):
        return [_absolute(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _BASE + value if key == "$ref" and isinstance(value, str) else _absolute(value)
        for key, value in node.items()
    }
