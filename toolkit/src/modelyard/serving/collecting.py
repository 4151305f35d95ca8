"""A receiver in a process of its own: keeps what a deployment collects, until it is stopped."""

from __future__ import annotations

import argparse
import signal
import threading
from pathlib import Path

from modelyard.files import write_json
from modelyard.serving.receiver import Receiver


def main(argv: list[str] | None = None) -> None:
    """Receive until SIGTERM, then write what waits."""
    parser = argparse.ArgumentParser(prog="python -m mlops.serving.collecting", description=__doc__)
    parser.add_argument("--folder", required=True, type=Path, help=".collected of the project")
    parser.add_argument("--contract", required=True, type=Path, help="of the model that is served")
    parser.add_argument(
        "--address", required=True, type=Path, help="file that will say where it is"
    )
    arguments = parser.parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with Receiver(arguments.folder, arguments.contract) as receiver:
        write_json(arguments.address, {"address": receiver.address})
        ended.wait()


if __name__ == "__main__":
    main()
