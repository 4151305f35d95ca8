"""Start the Azure ML inference server on a socket that is already open.

`server` runs this file with the Python of the serving environment. The inference server's own command
listens on every address of the machine; here it is given a socket of the loopback address, in the way
systemd passes sockets.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from pathlib import Path

FIRST_FD = 3  # of the sockets that systemd passes to a process


def main() -> None:
    """`inference_server.py FD HOST PORT WORKERS SCRIPT ATTACHED`; with FD -1 the server opens a socket.

    An attached server ends with the process that started it, and then deletes the folder it runs in.
    """
    fd, host, port, workers, script, attached = sys.argv[1:]
    sys.argv = ["azmlinfsrv", "--entry_script", script, "--port", port, "--worker_count", workers]
    if int(fd) >= 0:
        os.dup2(int(fd), FIRST_FD)
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    if attached == "yes":
        threading.Thread(target=_end_with_parent, daemon=True).start()
    from azureml_inference_server_http import amlserver

    amlserver.DEFAULT_HOST = host
    here = os.getpid()
    try:
        amlserver.run()
    finally:  # forked workers come by here too
        if attached == "yes" and os.getpid() == here:
            shutil.rmtree(Path.cwd(), ignore_errors=True)


def _end_with_parent() -> None:
    """End this process once standard input closes, which it does however the parent ends."""
    while os.read(
        0, 4096
    ):  # not sys.stdin: a worker that is forked meanwhile would inherit its lock
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
