"""Whether the service in this container is ready; the exit code is the answer. Needs Python alone, no shell or curl."""

import http.client
import os
import sys


def ready() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SERVING_PORT") or 8000), timeout=2)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False


sys.exit(0 if ready() else 1)
