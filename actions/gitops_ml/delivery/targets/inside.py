"""A service asked from inside its own container, so that nothing has to be published and the host may be anywhere."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from gitops_ml.delivery.targets.base import Reply, Request
from gitops_ml.delivery.targets.docker_host import Container, DockerHost
from gitops_ml.errors import UserError

# `deploy/ask.py` of the template, in the image beside the health check.
ASK = ("/venv/bin/python", "-I", "-S", "/app/ask.py")


@dataclass(frozen=True)
class Inside:
    """The service in `container`, or, from there, the one at `address`."""

    host: DockerHost
    container: Container
    address: str = ""

    def ask(self, request: Request) -> Reply:
        body = None if request.body is None else base64.b64encode(request.body).decode()
        asked = {
            "method": request.method,
            "path": request.path,
            "headers": dict(request.headers),
            "body": body,
            "address": self.address,
        }
        try:
            said = json.loads(self.host.execute(self.container, ASK, json.dumps(asked)))
            return Reply(int(said["status"]), base64.b64decode(said["body"]), dict(said["headers"]))
        except UserError as error:
            return Reply(0, error.message.encode())
        except (ValueError, KeyError, TypeError, binascii.Error):
            return Reply(0, b"what ask.py printed is not an answer")


@dataclass(frozen=True)
class Nowhere:
    """What stands for a service that is not there."""

    why: str

    def ask(self, request: Request) -> Reply:
        return Reply(0, self.why.encode())
