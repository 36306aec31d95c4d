"""Write so many bytes to a file and read them back, as the two steps of `hand-on` do, in one process."""

import sys

path, size = sys.argv[1], int(sys.argv[2])
block = b"cairn---" * (1 << 17)
with open(path, "wb") as file:
    for start in range(0, size, len(block)):
        file.write(block[: min(len(block), size - start)])
total = 0
with open(path, "rb") as file:
    while block := file.read(1 << 20):
        total += len(block)
assert total == size
