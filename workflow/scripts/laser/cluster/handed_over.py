"""Hand a job over to the process that forks (`laser.cluster.forks`), and end as it ends: handed_over.py SCRIPT ...

Without that process the script runs here. Nothing of the package is imported, so that this starts at once.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main(arguments: list[str]) -> int:
    """Return the exit status of the script."""
    with socket.socket(socket.AF_UNIX) as other:
        try:
            other.connect(os.environ["LASER_FORKS_ADDRESS"])
        except (OSError, KeyError):
            os.execv(sys.executable, [sys.executable, *arguments])
        job = {"arguments": arguments, "environment": dict(os.environ), "folder": os.getcwd()}
        message = json.dumps(job).encode()
        socket.send_fds(other, [len(message).to_bytes(8, "big")], [0, 1, 2])
        other.sendall(message)
        status = other.recv(8)
    if not status:
        print("The process that this job was forked from has ended. Run the same command again.", file=sys.stderr)
    return int(status or 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
