"""A machine that lets one key in and gives it files over SFTP: `python sftp.py FOLDER`, with asyncssh.

It writes that key to `FOLDER/key` and another one to `FOLDER/other`, keeps files below `FOLDER/files`, and prints its
port once it listens.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path

import asyncssh


async def serve(folder: Path) -> None:
    key, other, machine = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(3))
    (folder / "files").mkdir()
    (folder / "key").write_bytes(key.export_private_key())
    (folder / "other").write_bytes(other.export_private_key())
    (folder / "let-in").write_bytes(key.export_public_key())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[machine],
        authorized_client_keys=str(folder / "let-in"),
        sftp_factory=partial(asyncssh.SFTPServer, chroot=str(folder / "files")),
    )
    print(server.get_port(), flush=True)
    await server.wait_closed()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
