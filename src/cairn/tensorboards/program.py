"""The real TensorBoard on a Unix socket or a port: run by the Python of an environment that has it, never by our own.

    python program.py unix://SOCKET|PORT PREFIX LOGDIR SCRATCH

A port is open to every user of the machine: servers use a socket. It says `ready` and its URL once it answers, and ends
when its standard input does: with whoever started it, however that ended. SCRATCH is a directory that goes with it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from typing import Any


def main() -> None:
    listen, prefix, directory, scratch = sys.argv[1:5]
    threading.Thread(target=_end_with_parent, args=(scratch,), daemon=True).start()
    from tensorboard import program
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: Any) -> None:
            """The server that proxies has a log."""

        def address_string(self) -> str:
            return "local"

    class Server(program.TensorBoardServer):  # type: ignore[misc]
        def __init__(self, application: Any, _flags: Any) -> None:
            host, port = (listen, 0) if listen.startswith("unix://") else ("127.0.0.1", int(listen))
            self._server = make_server(host, port, application, threaded=True, request_handler=Quiet)

        def serve_forever(self) -> None:
            sys.stdout.write(f"ready {self.get_url()}\n")
            sys.stdout.flush()
            self._server.serve_forever()

        def get_url(self) -> str:
            # TensorBoard keeps a record of its port, and wants a number also of a socket
            port = 1 if listen.startswith("unix://") else self._server.server_port
            return f"http://127.0.0.1:{port}{prefix}/"

        def print_serving_message(self) -> None:
            """`ready` is enough."""

    tensorboard = program.TensorBoard(server_class=Server)
    # Cairn's authentication stands before it; the data server would be a second process with a port.
    tensorboard.configure(
        [
            "tensorboard",
            "--logdir",
            directory,
            "--path_prefix",
            prefix,
            "--load_fast",
            "false",
            "--reload_interval",
            "5",
        ]
    )
    tensorboard.main()


def _end_with_parent(directory: str) -> None:
    while os.read(0, 1024):
        pass
    shutil.rmtree(directory, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main()
