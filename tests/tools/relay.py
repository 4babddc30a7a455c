"""`python3 relay.py THERE HERE`: a Unix socket HERE for the group `docker`, behind which the socket THERE answers.

In the container of a fresh machine it stands for the engine that Debian's package would have started.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
import threading
from pathlib import Path


def forward(source: socket.socket, target: socket.socket) -> None:
    """Pass everything on, and the end too, because Docker's streams end in one direction before the other."""
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone; the other one notices by what it can no longer send.
        source.close()
        target.close()


def main() -> None:
    there, here = sys.argv[1], Path(sys.argv[2])
    here.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(here))
    shutil.chown(here, group="docker")
    here.chmod(0o660)
    listener.listen(64)
    if os.fork():
        # Only now, so that whoever waits for this process finds the socket.
        return
    os.setsid()
    while True:
        client, _ = listener.accept()
        engine = socket.socket(socket.AF_UNIX)
        engine.connect(there)
        for source, target in ((client, engine), (engine, client)):
            threading.Thread(target=forward, args=(source, target), daemon=True).start()


if __name__ == "__main__":
    main()
