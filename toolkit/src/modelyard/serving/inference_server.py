"""Runs the Azure ML inference server on a socket that is open already.

`serving` starts this file with the Python of the serving environment, where nothing else of `mlops`
is installed. The server's own command listens on every address of the machine; here it gets a
socket of this machine's own address, in the way systemd hands over sockets.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

FIRST_FD = 3  # where a process looks for sockets that it was handed


def main() -> None:
    """`inference_server.py FD HOST PORT WORKERS SCRIPT WATCH`; FD -1: open a socket oneself."""
    fd, host, port, workers, script, watch = sys.argv[1:]
    sys.argv = ["azmlinfsrv", "--entry_script", script, "--port", port, "--worker_count", workers]
    if int(fd) >= 0:
        os.dup2(int(fd), FIRST_FD)
        os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    if watch == "yes":
        threading.Thread(target=_end_with_parent, daemon=True).start()
    from azureml_inference_server_http import amlserver

    amlserver.DEFAULT_HOST = host
    amlserver.run()


def _end_with_parent() -> None:
    """End once standard input closes, which it does however the parent ends."""
    while os.read(0, 4096):  # not sys.stdin: a worker, forked meanwhile, would inherit its lock
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
