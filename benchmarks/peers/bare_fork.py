"""The least there could be: a child is forked for each step, two at a time in a loop; nothing is recorded.

python bare_fork.py chain 20        python bare_fork.py loop 200
"""

import json
import os
import sys
import tempfile


def child(path: str, value: int) -> int:
    pid = os.fork()
    if pid == 0:
        with open(path, "w") as file:
            json.dump(value + 1, file)
        os._exit(0)
    return pid


def main() -> None:
    kind, count = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as directory:
        if kind == "chain":
            value = 0
            for number in range(count):
                os.waitpid(child(f"{directory}/{number}", value), 0)
                with open(f"{directory}/{number}") as file:
                    value = json.load(file)
            assert value == count
            return
        running = 0
        for number in range(count):
            if running == (os.cpu_count() or 1):
                os.wait()
                running -= 1
            child(f"{directory}/{number}", number)
            running += 1
        while running:
            os.wait()
            running -= 1
        total = 0
        for number in range(count):
            with open(f"{directory}/{number}") as file:
                total += json.load(file)
        assert total == count * (count + 1) // 2


main()
