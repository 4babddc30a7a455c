"""A cluster for tests: the parts of the API of Kubernetes that kubectl uses here, on a port of the loopback interface.

The client is the real kubectl. The objects are kept by `Store`, their pods are made by `Controllers`; what they say is
reached through the same paths of the API server as in a cluster.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from tests.fakes.cluster_pods import Controllers
from tests.fakes.cluster_store import Key, Object, RefusedError, Store, fits

# Group and version to (plural, kind, in a namespace).
RESOURCES = {
    "v1": [
        ("namespaces", "Namespace", False),
        ("pods", "Pod", True),
        ("services", "Service", True),
        ("configmaps", "ConfigMap", True),
        ("events", "Event", True),
    ],
    "apps/v1": [("deployments", "Deployment", True), ("replicasets", "ReplicaSet", True)],
    "autoscaling/v2": [("horizontalpodautoscalers", "HorizontalPodAutoscaler", True)],
    "policy/v1": [("poddisruptionbudgets", "PodDisruptionBudget", True)],
    "networking.k8s.io/v1": [("networkpolicies", "NetworkPolicy", True)],
}
VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_ONE = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+))?"
)
_PROXY = re.compile(r"/api/v1/namespaces/([^/]+)/(pods|services)/([^/:]+):([^/]+)/proxy(/.*)")


@dataclass
class Cluster:
    """A context manager that serves one cluster. `forbidden` are (verb, plural) that this user has no right to."""

    store: Store = field(default_factory=Store)
    seen: list[tuple[str, str]] = field(default_factory=list)
    forbidden: set[tuple[str, str]] = field(default_factory=set)
    _meanwhile: list[tuple[str, str, Callable[[], None]]] = field(default_factory=list)
    _turn: int = 0

    def __post_init__(self) -> None:
        self.controllers = Controllers(self.store)

    def __enter__(self) -> Cluster:
        self._stopped = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *error: object) -> None:
        with self.store.changed:
            self._stopped = True
            self.store.changed.notify_all()
        self.controllers.stop()
        self._server.shutdown()
        self._server.server_close()

    def kubeconfig(self, path: Path, context: str = "here") -> Path:
        server = f"http://127.0.0.1:{self._server.server_port}"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": context, "cluster": {"server": server}}],
            "users": [{"name": context, "user": {"token": "t"}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": context}}],
            "current-context": context,
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def namespace(self, name: str) -> None:
        with self.store.changed:
            made = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
            self.store.put(("namespaces", "", name), made)

    def meanwhile(self, method: str, path: str, action: Callable[[], None]) -> None:
        """Run `action` just before the next request that fits is carried out: somebody else was faster."""
        self._meanwhile.append((method, path, action))

    def answer(self, method: str, target: str, kind: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(target)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/openapi/v2":
            # An empty document in protocol buffers, which is what kubectl asks for.
            return 200, {"Content-Type": "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"}, b""
        with self.store.changed:
            self.seen.append((method, target))
            for plan in [one for one in self._meanwhile if one[0] == method and re.search(one[1], target)]:
                self._meanwhile.remove(plan)
                plan[2]()
            proxied = _PROXY.fullmatch(parts.path)
            try:
                if proxied is None:
                    status, said = self._route(method, parts.path, asked, kind, body)
                    return status, {"Content-Type": "application/json"}, json.dumps(said).encode()
                ask = self._pod(*proxied.groups()[:4])
            except RefusedError as error:
                return error.code, {"Content-Type": "application/json"}, json.dumps(_status(error)).encode()
        return ask(method, proxied[5], body)

    def _route(
        self, method: str, path: str, asked: dict[str, str], kind: str, body: bytes
    ) -> tuple[int, Object]:
        known = _discovery(path)
        if known is not None:
            return 200, known
        found = _ONE.fullmatch(path)
        if found is None:
            raise RefusedError(404, "NotFound", "the server could not find the requested resource")
        key = (found["plural"], found["namespace"] or "", found["name"] or "")
        if key[0] == "namespaces" or (found["plural"], found["namespace"]) == ("namespaces", None):
            key = ("namespaces", "", found["name"] or "")
        self._allow(method, key)
        # kubectl sends YAML for server-side apply, which JSON is a part of.
        value = yaml.safe_load(body) if body else None
        if method == "GET":
            return 200, self.store.get(key) if key[2] else self._list(
                key, found["core"] or found["group"], asked
            )
        if method == "PATCH":
            return self._patch(key, kind, value)
        if method == "DELETE":
            one = self.store.remove(key)
            if key[0] == "deployments":
                self.controllers.removed(key[1], key[2])
            return 200, {"kind": "Status", "apiVersion": "v1", "status": "Success", "details": _details(one)}
        raise RefusedError(405, "MethodNotAllowed", f"{method} is not played")

    def _allow(self, method: str, key: Key) -> None:
        verb = {"GET": "get" if key[2] else "list", "PATCH": "patch", "DELETE": "delete"}.get(
            method, "create"
        )
        if (verb, key[0]) in self.forbidden:
            who = 'User "ci" cannot ' + f'{verb} resource "{key[0]}" in the namespace "{key[1]}"'
            raise RefusedError(403, "Forbidden", f'{key[0]} "{key[2]}" is forbidden: {who}')

    def _patch(self, key: Key, kind: str, value: Any) -> tuple[int, Object]:
        if kind == "application/apply-patch+yaml":
            one, new = self.store.apply(key, value)
        else:
            one, new = self.store.patch(key, kind, value), False
        observed = (one.get("status") or {}).get("observedGeneration")
        if key[0] == "deployments" and one["metadata"]["generation"] != observed:
            self.controllers.changed(key)
        return 201 if new else 200, one

    def _list(self, key: Key, version: str, asked: dict[str, str]) -> Object:
        kinds = {plural: kind for plural, kind, _ in RESOURCES[version]}
        labels, fields = _pairs(asked.get("labelSelector", "")), _pairs(asked.get("fieldSelector", ""))
        items = self.store.find(key[0], key[1], labels, fields)
        meta = {"resourceVersion": str(self.store.version)}
        return {"kind": f"{kinds[key[0]]}List", "apiVersion": version, "metadata": meta, "items": items}

    def watch(self, target: str) -> Iterator[bytes]:
        """The changes of what `target` asks for, one JSON text each, until the client goes or the cluster stops."""
        parts = urlsplit(target)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        found = _ONE.fullmatch(parts.path)
        if found is None:
            return
        plural, namespace = found["plural"], found["namespace"] or ""
        labels, fields = _pairs(asked.get("labelSelector", "")), _pairs(asked.get("fieldSelector", ""))
        last = int(asked.get("resourceVersion") or 0)
        while True:
            with self.store.changed:
                self.store.changed.wait_for(partial(self._moved, last), timeout=0.5)
                if self._stopped:
                    return
                new = [entry for entry in self.store.log if entry[0] > last]
                last = self.store.version
            for _, kind, key, one in new:
                if fits(key, one, plural, namespace, labels, fields):
                    yield json.dumps({"type": kind, "object": one}).encode() + b"\n"
            yield b""

    def _moved(self, last: int) -> bool:
        return self._stopped or self.store.version > last

    def _pod(
        self, namespace: str, plural: str, name: str, port: str
    ) -> Callable[..., tuple[int, dict[str, str], bytes]]:
        """How a pod, or the next ready one of a Service, is asked."""
        names = [name]
        if plural == "services":
            service = self.store.get(("services", namespace, name))
            if port not in {
                str(one.get(key)) for one in service["spec"]["ports"] for key in ("name", "port")
            }:
                raise RefusedError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
            pods = self.store.find("pods", namespace, service["spec"]["selector"], {})
            names = [
                one["metadata"]["name"] for one in pods if one["status"]["conditions"][0]["status"] == "True"
            ]
        if not names:
            raise RefusedError(503, "ServiceUnavailable", f'no endpoints available for service "{name}"')
        self._turn += 1
        pod = self.controllers.running.get((namespace, names[self._turn % len(names)]))
        if pod is None:
            raise RefusedError(404, "NotFound", f'pods "{name}" not found')
        return pod.ask


def _discovery(path: str) -> Object | None:
    """What the server says of itself: which groups and resources there are."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for name in [version for version in RESOURCES if "/" in version]:
            version = {"groupVersion": name, "version": name.split("/")[1]}
            groups.append({"name": name.split("/")[0], "versions": [version], "preferredVersion": version})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    if path == "/version":
        return {"major": "1", "minor": "32", "gitVersion": "v1.32.4"}
    found = re.fullmatch(r"/(?:api/(v1)|apis/([^/]+/[^/]+))", path)
    version = (found[1] or found[2]) if found else None
    if version not in RESOURCES:
        return None
    listed = [
        {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind, "verbs": VERBS}
        for plural, kind, namespaced in RESOURCES[version]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": listed}


def _status(error: RefusedError) -> Object:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": error.message,
        "reason": error.reason,
        "code": error.code,
    }


def _details(one: Object) -> Object:
    return {"name": one["metadata"]["name"], "kind": one["kind"], "uid": one["metadata"]["uid"]}


def _pairs(selector: str) -> dict[str, str]:
    found = (part.replace("==", "=").partition("=") for part in selector.split(",") if part)
    return {name: value for name, _, value in found}


def _handler(cluster: Cluster) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command == "GET" and re.search(r"[?&]watch=(true|1)", self.path):
                self.stream()
                return
            status, headers, content = cluster.answer(
                self.command, self.path, self.headers.get("Content-Type", ""), body
            )
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in (
                    "content-length",
                    "date",
                    "server",
                    "connection",
                    "transfer-encoding",
                ):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def stream(self) -> None:
            cluster.seen.append((self.command, self.path))
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.close_connection = True
            try:
                for part in cluster.watch(self.path):
                    if part:
                        self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                return  # the client has seen enough

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815 - names that the base class wants

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    return Handler
