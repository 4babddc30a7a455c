"""What a cluster does with a Deployment: sets of pods, each of them a service that really listens, and rollouts."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from tests.delivery import tiny_service
from tests.fakes.cluster_store import Key, Object, Store

_READY = {"True": "Ready", "False": "ContainersNotReady"}


@dataclass
class Pod:
    """A running container of a pod: its server, and what it answered, as (status, seconds)."""

    server: ThreadingHTTPServer
    slowness_s: float = 0.0
    answers: list[tuple[int, float]] = field(default_factory=list)

    def ask(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if path == "/metrics":
            return 200, {"Content-Type": "text/plain"}, self._metrics().encode()
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        request = urllib.request.Request(url, data=body if method == "POST" else None, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                status, headers, content = reply.status, dict(reply.headers), reply.read()
        except urllib.error.HTTPError as error:
            status, headers, content = error.code, dict(error.headers), error.read()
        if path == "/predict":
            self.answers.append((status, 0.004 + self.slowness_s))
        return status, headers, content

    def _metrics(self) -> str:
        lines = ['serving_requests_total{method="GET",route="/version",status="500"} 7.0']
        for status in sorted({status for status, _ in self.answers}):
            count = sum(one == status for one, _ in self.answers)
            lines.append(
                f'serving_requests_total{{method="POST",route="/predict",status="{status}"}} {count}.0'
            )
        for bound in (*(0.005, 0.05, 0.5), float("inf")):
            count = sum(seconds <= bound for _, seconds in self.answers)
            name = "+Inf" if bound == float("inf") else bound
            lines.append(f'serving_request_seconds_bucket{{le="{name}",route="/predict"}} {count}.0')
        return "\n".join(lines) + "\n"


@dataclass
class Controllers:
    """The parts of a cluster that make a Deployment true, a moment after it was changed.

    `images` says what is inside of an image by its name with digest: variables of the container, `FAULT` among them.
    An image that is not there can't be pulled.
    """

    store: Store
    images: dict[str, dict[str, str]] = field(default_factory=dict)
    running: dict[tuple[str, str], Pod] = field(default_factory=dict)
    delay_s: float = 0.03
    timers: list[threading.Timer] = field(default_factory=list)
    numbers: int = 0

    def stop(self) -> None:
        for timer in self.timers:
            timer.cancel()
            timer.join()
        for pod in self.running.values():
            pod.server.shutdown()
            pod.server.server_close()

    def changed(self, key: Key) -> None:
        """The Deployment `key` was changed: say so at once, and act on it after a while."""
        timer = threading.Timer(self.delay_s, self._reconcile, [key])
        timer.daemon = True
        self.timers.append(timer)
        timer.start()

    def removed(self, namespace: str, name: str) -> None:
        for one in self._sets(namespace, name):
            self._scale(one, 0)
            self.store.remove(("replicasets", namespace, one["metadata"]["name"]))

    def _reconcile(self, key: Key) -> None:
        with self.store.changed:
            deployment = self.store.objects.get(key)
            if deployment is None:
                return
            namespace, name = key[1], key[2]
            wanted = int(deployment["spec"].get("replicas", 1))
            current = self._set_of(deployment)
            others = [one for one in self._sets(namespace, name) if one is not current]
            before = sum(int(one["status"]["availableReplicas"]) for one in others)
            available = self._scale(current, wanted)
            failed = available < wanted
            if failed and before:
                # maxSurge 1, maxUnavailable 0: one new pod at a time, and an old one goes when it is ready.
                self._scale(current, 1)
            else:
                for one in others:
                    self._scale(one, 0)
            old = before if failed else 0
            self._say(key, wanted, 1 if failed and before else wanted, available, old, failed)

    def _say(self, key: Key, wanted: int, updated: int, available: int, old: int, failed: bool) -> None:
        deployment = copy.deepcopy(self.store.objects[key])
        reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable"
        deployment["status"] = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": updated + old,
            "updatedReplicas": updated,
            "availableReplicas": available + old,
            "readyReplicas": available + old,
            "conditions": [{"type": "Progressing", "status": str(not failed), "reason": reason}],
        }
        self.store.put(key, deployment)

    def _sets(self, namespace: str, name: str) -> list[Object]:
        return [
            one
            for one in self.store.find("replicasets", namespace, {}, {})
            if one["metadata"]["ownerReferences"][0]["name"] == name
        ]

    def _set_of(self, deployment: Object) -> Object:
        """The ReplicaSet of the Deployment's present template, as its newest revision."""
        meta, template = deployment["metadata"], deployment["spec"]["template"]
        sets = self._sets(meta["namespace"], meta["name"])
        digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:8]
        name = f"{meta['name']}-{digest}"
        newest = max((int(one["metadata"]["annotations"][_REVISION]) for one in sets), default=0)
        found = next((one for one in sets if one["metadata"]["name"] == name), None)
        if found is not None and int(found["metadata"]["annotations"][_REVISION]) == newest:
            return found
        made = copy.deepcopy(found) or {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": name,
                "namespace": meta["namespace"],
                "ownerReferences": [{"kind": "Deployment", "name": meta["name"], "uid": meta["uid"]}],
            },
            "spec": {"template": copy.deepcopy(template)},
            "status": {"availableReplicas": 0},
        }
        made["metadata"]["annotations"] = {_REVISION: str(newest + 1)}
        made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = digest
        return self.store.put(("replicasets", meta["namespace"], name), made)

    def _scale(self, replica_set: Object, wanted: int) -> int:
        """As many pods of the set; returns how many of them are available."""
        namespace, name = replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
        pods = [one for one in self.store.find("pods", namespace, {}, {}) if _owner(one) == name]
        for one in pods[wanted:]:
            self._end(namespace, one["metadata"]["name"])
        for _ in range(wanted - len(pods)):
            self._start(replica_set)
        pods = [one for one in self.store.find("pods", namespace, {}, {}) if _owner(one) == name]
        available = sum(one["status"]["conditions"][0]["status"] == "True" for one in pods)
        changed = copy.deepcopy(self.store.objects[("replicasets", namespace, name)])
        changed["status"] = {"replicas": len(pods), "availableReplicas": available}
        self.store.put(("replicasets", namespace, name), changed)
        return available

    def _start(self, replica_set: Object) -> None:
        self.numbers += 1
        namespace, owner = replica_set["metadata"]["namespace"], replica_set["metadata"]["name"]
        name = f"{owner}-{self.numbers:05d}"
        template = replica_set["spec"]["template"]
        state = self._container(namespace, name, template["spec"]["containers"][0])
        well = "running" in state
        status = {
            "conditions": [{"type": "Ready", "status": str(well), "reason": _READY[str(well)]}],
            "containerStatuses": [{"name": "model", "ready": well, **({"state": state} if well else state)}],
        }
        meta = copy.deepcopy(template["metadata"])
        meta |= {
            "name": name,
            "namespace": namespace,
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner}],
        }
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": template["spec"],
            "status": status,
        }
        self.store.put(("pods", namespace, name), pod)

    def _container(self, namespace: str, name: str, container: Object) -> dict[str, Any]:
        inside = self.images.get(container["image"])
        if inside is None:
            message = f'Back-off pulling image "{container["image"]}"'
            self._warn(namespace, name, "Failed", "Failed to pull image: not found")
            return {"state": {"waiting": {"reason": "ImagePullBackOff", "message": message}}}
        told = {one["name"]: one["value"] for one in container.get("env", []) if "value" in one}
        environ = {**inside, **told}
        if environ.get("FAULT") == "dies":
            self._warn(namespace, name, "BackOff", "Back-off restarting failed container model")
            ended = {"reason": "Error", "exitCode": 1, "message": "the model file does not fit its hash"}
            waiting = {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}
            return {"state": {"waiting": waiting}, "lastState": {"terminated": ended}}
        fault = environ.get("FAULT", "")
        slowness = float(fault.removeprefix("slow ")) if fault.startswith("slow ") else 0.0
        server = tiny_service.serve({**environ, "FAULT": "" if slowness else fault})
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        pod = self.running[namespace, name] = Pod(server, slowness)
        if pod.ask("GET", "/v2/health/ready", b"")[0] != 200:
            self._warn(
                namespace, name, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"
            )
            return {"state": {"waiting": {"reason": "ContainerCreating"}}}
        return {"running": {"startedAt": "2026-01-01T00:00:00Z"}}

    def _end(self, namespace: str, name: str) -> None:
        self.store.remove(("pods", namespace, name))
        pod = self.running.pop((namespace, name), None)
        if pod is not None:
            pod.server.shutdown()
            pod.server.server_close()

    def _warn(self, namespace: str, pod: str, reason: str, message: str) -> None:
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{pod}.{time.monotonic_ns():x}", "namespace": namespace},
            "involvedObject": {"kind": "Pod", "name": pod},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "lastTimestamp": "2026-01-01T00:00:00Z",
        }
        self.store.put(("events", namespace, event["metadata"]["name"]), event)


_REVISION = "deployment.kubernetes.io/revision"


def _owner(one: Object) -> str:
    return str(one["metadata"]["ownerReferences"][0]["name"])
