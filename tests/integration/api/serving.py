"""A real server in a process of its own: python serving.py [NAME=VALUE …] (arguments of Server, as JSON).

Its URL is the first line of standard output; SIGTERM ends it.
"""

import json
import logging
import signal
import sys

from cairn.api.server import Server
from cairn.wiring import open_cairn


def main() -> int:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(message)s")
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    with open_cairn() as cairn:
        arguments = {name: json.loads(text) for name, text in given.items()}
        server = Server(cairn, **{"check_answers": True, **arguments})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        server.run(lambda: print(server.url, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
