"""One request, asked from inside this container: JSON on standard input, the answer as JSON on standard output.

A deployment asks the service like this before anyone else can reach it, on any machine, without a published port:
    {"method": "GET", "path": "/version", "headers": {}, "body": null, "address": "proxy:8000"}
    {"status": 200, "headers": {"x-release": "..."}, "body": "<base64>"}
`address` is this container's own service when it is left out, bodies are base64. Status 0: no answer came, and the body
says why. Needs Python alone.
"""

import base64
import http.client
import json
import os
import sys
from typing import Any

LIMIT_BYTES = 16 * 1024 * 1024
TIMEOUT_S = 30


def ask(asked: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
    own = f"127.0.0.1:{os.environ.get('SERVING_PORT') or 8000}"
    host, _, port = (asked.get("address") or own).rpartition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
    body = asked.get("body")
    try:
        sent = None if body is None else base64.b64decode(body)
        connection.request(asked["method"], asked["path"], sent, asked.get("headers") or {})
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, headers, response.read(LIMIT_BYTES)
    except (OSError, http.client.HTTPException) as error:
        return 0, {}, f"{type(error).__name__}: {error}".encode()
    finally:
        connection.close()


status, headers, content = ask(json.load(sys.stdin))
print(json.dumps({"status": status, "headers": headers, "body": base64.b64encode(content).decode()}))
