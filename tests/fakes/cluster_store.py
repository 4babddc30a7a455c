"""The objects of a played cluster: versions, generations, server-side apply, and a log that watches follow."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Object = dict[str, Any]
Key = tuple[str, str, str]  # plural, namespace, name
# Lists whose items the API server merges by a key; others are replaced as a whole.
_LIST_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "topologySpreadConstraints": "topologyKey",
}


class RefusedError(Exception):
    """An answer that is no success, as the API server's Status has it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message


@dataclass
class Store:
    """Everything under one lock; `changed` wakes whoever waits for the log to grow."""

    objects: dict[Key, Object] = field(default_factory=dict)
    applied: dict[Key, Object] = field(default_factory=dict)
    log: list[tuple[int, str, Key, Object]] = field(default_factory=list)
    version: int = 100
    changed: threading.Condition = field(default_factory=lambda: threading.Condition(threading.RLock()))

    def get(self, key: Key) -> Object:
        if key not in self.objects:
            raise RefusedError(404, "NotFound", f'{key[0]} "{key[2]}" not found')
        return self.objects[key]

    def find(
        self, plural: str, namespace: str, labels: Mapping[str, str], fields: Mapping[str, str]
    ) -> list[Object]:
        return [
            one
            for key, one in sorted(self.objects.items())
            if fits(key, one, plural, namespace, labels, fields)
        ]

    def apply(self, key: Key, wanted: Object) -> tuple[Object, bool]:
        """Server-side apply by one manager that forces conflicts; returns the object and whether it is new."""
        found = self.objects.get(key)
        asked = wanted["metadata"].pop("resourceVersion", None)
        if asked is not None and (found is None or found["metadata"]["resourceVersion"] != asked):
            raise _conflict(key)
        self.check_namespace(key)
        merged = _merged(found or {}, self.applied.get(key, {}), wanted)
        self.applied[key] = copy.deepcopy(wanted)
        return self.put(key, merged), found is None

    def put(self, key: Key, one: Object) -> Object:
        """Store `one` as a new version, unless nothing changed."""
        before = self.objects.get(key)
        if before is not None and {**before, "metadata": _plain(before)} == {**one, "metadata": _plain(one)}:
            return before
        one = copy.deepcopy(one)
        meta = one["metadata"]
        self.version += 1
        generation = before["metadata"]["generation"] if before else 0
        moved = before is None or before.get("spec") != one.get("spec")
        meta["generation"] = generation + int(moved)
        meta["resourceVersion"] = str(self.version)
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", "2026-01-01T00:00:00Z")
        self.objects[key] = one
        self._note("MODIFIED" if before else "ADDED", key, one)
        return one

    def remove(self, key: Key) -> Object:
        one = self.get(key)
        del self.objects[key]
        self.applied.pop(key, None)
        self.version += 1
        self._note("DELETED", key, one)
        return one

    def check_namespace(self, key: Key) -> None:
        if key[1] and ("namespaces", "", key[1]) not in self.objects:
            raise RefusedError(404, "NotFound", f'namespaces "{key[1]}" not found')

    def patch(self, key: Key, kind: str, body: Any) -> Object:
        """A JSON patch or a merge patch."""
        one = copy.deepcopy(self.get(key))
        if kind == "application/json-patch+json":
            for step in body:
                _json_step(one, step)
        else:
            asked = body.get("metadata", {}).pop("resourceVersion", None)
            if asked is not None and asked != one["metadata"]["resourceVersion"]:
                raise _conflict(key)
            _merge(one, body)
        return self.put(key, one)

    def _note(self, kind: str, key: Key, one: Object) -> None:
        with self.changed:
            self.log.append((self.version, kind, key, copy.deepcopy(one)))
            self.changed.notify_all()


def fits(
    key: Key, one: Object, plural: str, namespace: str, labels: Mapping[str, str], fields: Mapping[str, str]
) -> bool:
    has = one["metadata"].get("labels") or {}
    return (
        key[0] == plural
        and namespace in ("", key[1])
        and labels.items() <= has.items()
        and all(str(_at(one, path)) == value for path, value in fields.items())
    )


def _at(one: Object, path: str) -> Any:
    found: Any = one
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _plain(one: Object) -> Object:
    return {
        name: value
        for name, value in one["metadata"].items()
        if name not in ("resourceVersion", "generation")
    }


def _conflict(key: Key) -> RefusedError:
    message = (
        f'Operation cannot be fulfilled on {key[0]} "{key[2]}": the object has been modified; please apply your'
        " changes to the latest version and try again"
    )
    return RefusedError(409, "Conflict", message)


def _merged(live: Any, before: Any, wanted: Any, name: str = "") -> Any:
    """`live` with what was applied `before` and is not `wanted` any more taken out, and what is wanted put in."""
    if isinstance(wanted, dict) and isinstance(live, dict):
        gone = set(before if isinstance(before, dict) else ()) - set(wanted)
        kept = {key: value for key, value in live.items() if key not in gone}
        inner = before if isinstance(before, dict) else {}
        return kept | {
            key: _merged(live.get(key), inner.get(key), value, key) for key, value in wanted.items()
        }
    if isinstance(wanted, list) and isinstance(live, list) and name in _LIST_KEYS:
        by = _LIST_KEYS[name]
        had = {one[by]: one for one in before or []}
        there = {one[by]: one for one in live}
        new = {one[by]: _merged(there.get(one[by]), had.get(one[by]), one) for one in wanted}
        others = [one for one in live if one[by] not in new and one[by] not in had]
        return [*new.values(), *others]
    return copy.deepcopy(wanted)


def _merge(live: Object, change: Object) -> None:
    """JSON merge patch (RFC 7396), in place."""
    for key, value in change.items():
        if value is None:
            live.pop(key, None)
        elif isinstance(value, dict) and isinstance(live.get(key), dict):
            _merge(live[key], value)
        else:
            live[key] = copy.deepcopy(value)


def _json_step(one: Object, step: Object) -> None:
    """One operation of a JSON patch (RFC 6902): test and replace."""
    parts = list(_parts(step["path"]))
    parent: Any = one
    for part in parts[:-1]:
        parent = parent.get(part) if isinstance(parent, dict) else None
    there = isinstance(parent, dict) and parts[-1] in parent
    if step["op"] == "test" and not (there and parent[parts[-1]] == step["value"]):
        message = f"testing value {step['path']} failed: test failed"
        raise RefusedError(
            422, "Invalid", f"the server rejected our request due to an error in our request: {message}"
        )
    if step["op"] == "replace":
        if not there:
            raise RefusedError(
                422, "Invalid", f"replace operation does not apply: missing path {step['path']}"
            )
        parent[parts[-1]] = copy.deepcopy(step["value"])


def _parts(pointer: str) -> Iterator[str]:
    for part in pointer.split("/")[1:]:
        yield part.replace("~1", "/").replace("~0", "~")
