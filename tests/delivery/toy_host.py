"""A Docker host in memory: containers, a proxy that moves traffic, and a process that dies after any of its steps."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gitops_ml.delivery.targets.colours import COLOURS
from gitops_ml.delivery.targets.docker_host import Container
from gitops_ml.errors import UserError

from tests.delivery.tiny_service import DESCRIBED

# The bits of srv_admin_state.
MAINTENANCE, DRAIN = 1, 8
COLUMNS = "pxname,svname,scur,qcur,status,econ,eresp,hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other"


class Killed(BaseException):
    """The deploying process is no more."""


@dataclass
class Slot:
    """What the proxy knows of one colour."""

    admin: int = 0
    down: bool = False
    weight: int = 100


@dataclass
class ToyHost:
    """`identities`: what the images say of themselves, by digest; `sick`: faults by digest.

    `dies_after`: the number of the change after which the process is killed. `watch` is called after every change.
    """

    identities: Mapping[str, Mapping[str, str]]
    sick: Mapping[str, str] = field(default_factory=dict)
    dies_after: int | None = None
    watch: Callable[[], None] = lambda: None
    changes: list[str] = field(default_factory=list)
    found: dict[str, Container] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=lambda: {name: Slot() for name in COLOURS})
    remembered: int = 0

    def changed(self, what: str) -> None:
        self.changes.append(what)
        self.watch()
        if self.dies_after is not None and len(self.changes) >= self.dies_after:
            raise Killed(what)

    def serving(self) -> Iterable[Container]:
        """Who answers clients at this moment."""
        proxy = self.found.get("proxy")
        for name, slot in self.slots.items():
            container = self.found.get(name)
            if container is None or not container.running or self.fault(container) == "never ready":
                continue
            if proxy is not None and proxy.running and not slot.admin and not slot.down:
                yield container

    def restart_proxy(self) -> None:
        self.slots = {name: Slot() for name in COLOURS}

    def fault(self, container: Container) -> str:
        return self.sick.get(container.digest or "", "")

    # As DockerHost

    def containers(self) -> dict[str, Container]:
        return dict(self.found)

    def configuration(self, variables: Mapping[str, str]) -> dict[str, Any]:
        return {"configs": {"proxy": {"content": "the same"}}}

    def up(self, service: str, variables: Mapping[str, str], *options: str) -> None:
        if service == "proxy":
            if service not in self.found or not self.found[service].running:
                self.found[service] = Container("proxy", service, "haproxy", True)
                self.restart_proxy()
                self.changed("start proxy")
            return
        labels = {
            "gitops-ml.release": variables["RELEASE_ID"],
            "gitops-ml.fence": variables["DEPLOY_FENCE"],
        }
        digest = variables["IMAGE"].partition("@")[2]
        running = self.sick.get(digest) != "dies"
        exit_code = 0 if running else 1
        self.found[service] = Container(
            service, service, variables["IMAGE"], running, exit_code=exit_code, labels=labels
        )
        self.changed(f"start {service}")

    def pull(self, image: str) -> None:
        self.changed("pull")

    def logs(self, container: Container, lines: int) -> list[str]:
        return ["its last line"]

    def stop(self, container: Container, grace_s: int | None = None) -> None:
        self.found[container.service] = replace(self.found[container.service], running=False)
        self.changed(f"stop {container.service}")

    def remove(self, container: Container) -> None:
        del self.found[container.service]
        self.changed(f"remove {container.service}")

    def fence(self) -> int:
        return self.remembered

    def remember(self, fence: int) -> None:
        if fence > self.remembered:
            self.remembered = fence
            self.changed("remember")

    def execute(self, container: Container, words: Sequence[str], stdin: str = "") -> str:
        now = self.found.get(container.service)
        if now is None or not now.running:
            raise UserError("docker exec failed: it is not running")
        return self._runtime(words[-1]) if container.service == "proxy" else self._ask(now, json.loads(stdin))

    def _runtime(self, command: str) -> str:
        if command.startswith("show"):
            return self._tables()
        for one in command.split(";"):
            self._set(*one.replace("model/", "").split()[2:])
        return "\n"

    def _set(self, name: str, what: str, value: str) -> None:
        slot = self.slots[name]
        if what == "state":
            slot.admin = {"ready": 0, "maint": MAINTENANCE, "drain": DRAIN}[value]
            slot.down = slot.down and value != "maint"
        elif what == "health":
            # Its own checks bring it up again, if they can, before anyone looks.
            slot.down = False
        else:
            slot.weight = int(value)
        self.changed(f"{name} {what} {value}")

    def _tables(self) -> str:
        states, rows = [], []
        for name, slot in self.slots.items():
            container = self.found.get(name)
            well = container is not None and container.running and self.fault(container) != "never ready"
            status = (
                "MAINT"
                if slot.admin & MAINTENANCE
                else "DOWN"
                if not well
                else "DRAIN"
                if slot.admin
                else "UP"
            )
            states.append(f"3 model 1 {name} 2 {slot.admin} {slot.weight}")
            rows.append(f"model,{name},0,0,{status},0,0,0,0,0,0,0,0")
        head = "1\n# be_id be_name srv_id srv_name srv_op_state srv_admin_state srv_uweight\n"
        return head + "\n".join(states) + f"\n\n# {COLUMNS}\n" + "\n".join(rows) + "\n"

    def _ask(self, container: Container, asked: Mapping[str, Any]) -> str:
        if asked["address"]:
            answering = next(iter(self.serving()), None)
            if answering is None:
                return json.dumps({"status": 503, "headers": {}, "body": ""})
            container = answering
        release = container.labels["gitops-ml.release"]
        said: Any = {}
        status = 200
        if asked["path"] == "/version":
            said = {"release": release, **self.identities[container.digest or ""]}
            if self.fault(container) == "other commit":
                said["commit"] = "something-else"
        elif asked["path"] == "/openapi.json":
            said = DESCRIBED
        elif asked["path"] == "/predict":
            rows = json.loads(base64.b64decode(asked["body"]))["records"]
            status = 200 if all(rows) else 422
            said = {"predictions": rows}
        elif self.fault(container) == "never ready":
            status = 503
        body = base64.b64encode(json.dumps(said).encode()).decode()
        return json.dumps({"status": status, "headers": {"x-release": release}, "body": body})
