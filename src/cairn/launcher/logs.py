"""A step's output: two pipes, pumped into two files.

`stdout.log` and `stderr.log` hold each stream's bytes as they were written, up to a limit. Only when both streams were
used there is an `order.log` as well: one line `MICROSECONDS STREAM LENGTH` for each run of bytes of one stream, so that
`interleaved` can give both in the order in which they arrived. What lies beyond the lines of `order.log` comes last.

Order is kept cheaply: `stderr` is read as soon as it is written to, and whatever `stdout` holds by then is taken first.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections import deque
from typing import BinaryIO, Deque, Dict, Iterator, List, Optional, Tuple

STREAMS = ("stdout", "stderr")
CHUNK = 1 << 16
FLOOD = CHUNK // 2  # a step that writes more than this between two looks gets a wider pipe and is looked at more often
WIDE = 1 << 20
_F_SETPIPE_SZ = 1031
MAX_TAIL = 1 << 16
MAX_LAST_READS = 64  # more than a pipe can hold, unless someone outside of the attempt still writes


def log_path(directory: str, stream: str) -> str:
    return os.path.join(directory, stream + ".log")


class Stream:
    """One pipe (-1: none, `keep` is given its bytes) and its file. Beyond `limit` bytes the middle is cut: the head
    stays in the file, the tail in memory until the end, and between them stands how much is missing. Memory is bounded
    by the tail."""

    def __init__(self, name: str, reader: int, directory: str, limit: int) -> None:
        self.name = name
        self.reader = reader
        self.file = os.open(log_path(directory, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self.at_end = reader < 0
        self._wide = False
        self._tail_limit = min(MAX_TAIL, limit // 4)
        self._room = limit - self._tail_limit
        self._tail: Deque[bytes] = deque()
        self._tail_size = 0
        self._cut = 0
        self._error = ""

    def widen(self) -> None:
        """Give the pipe more room, once; a machine that refuses is no error."""
        if not self._wide:
            self._wide = True
            try:
                fcntl.fcntl(self.reader, _F_SETPIPE_SZ, WIDE)
            except OSError:
                pass

    def read(self) -> bytes:
        """What the pipe holds now, at most CHUNK bytes; b"" when it holds nothing or everybody has closed it."""
        if self.at_end:
            return b""
        try:
            data = os.read(self.reader, CHUNK)
        except BlockingIOError:
            return b""
        self.at_end = not data
        return data

    def keep(self, data: bytes) -> int:
        """Put bytes into the file, or into the tail when its room is used up; returns how many went into the file."""
        head = data[: self._room]
        kept = self._write(head) if head else 0
        self._room -= len(head)
        if len(head) < len(data):
            self._keep_tail(data[len(head) :])
        return kept

    def finish(self) -> int:
        """Write the mark and the tail, close; returns how many bytes that were."""
        tail = b"".join(self._tail)
        over = len(tail) - self._tail_limit
        if over > 0:
            tail = tail[over:]
            self._cut += over
        kept = 0
        if self._cut:
            why = f": {self._error}" if self._error else ", the log reached its limit"
            kept += self._write(f"\n[cairn: {self._cut} bytes cut here{why}]\n".encode())
        kept += self._write(tail)
        if self.reader >= 0:
            os.close(self.reader)
        os.close(self.file)
        return kept

    def _keep_tail(self, data: bytes) -> None:
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= self._tail_limit:
            dropped = len(self._tail.popleft())
            self._tail_size -= dropped
            self._cut += dropped

    def _write(self, data: bytes) -> int:
        written = 0
        try:
            while written < len(data):
                written += os.write(self.file, data[written:] if written else data)
        except OSError as error:  # a full disk must not stop the step
            self._error = error.strerror or str(error)
            self._cut += len(data) - written
        return written


class Pump:
    """Both streams of one process: non-blocking read ends, closed by `finish`, or what `take` is given. Belongs to the
    supervisor's loop."""

    def __init__(self, stdout: int, stderr: int, directory: str, limit: int) -> None:
        self.stdout = Stream("stdout", stdout, directory, limit)
        self.stderr = Stream("stderr", stderr, directory, limit)
        self._directory = directory
        self._order: Optional[int] = None
        self._current: Optional[Stream] = None
        self._run_start = 0
        self._run_length = 0

    def drain_stdout(self) -> int:
        """Take what `stdout` holds, at most WIDE bytes; returns how many."""
        return self._drain(self.stdout)

    def drain_stderr(self) -> int:
        """Take what `stderr` holds, and before it what `stdout` holds; returns how many bytes of `stderr`."""
        self._drain(self.stdout)
        return self._drain(self.stderr)

    def take(self, name: str, data: bytes) -> None:
        """Bytes of a stream that has no pipe."""
        stream = self.stderr if name == "stderr" else self.stdout
        self._note(stream, stream.keep(data))

    def _drain(self, stream: Stream) -> int:
        total = 0
        while total < WIDE:
            data = stream.read()
            if not data:
                break
            self._note(stream, stream.keep(data))
            total += len(data)
            if len(data) < CHUNK:
                break
        if total >= FLOOD:
            stream.widen()
        return total

    def finish(self) -> None:
        """Take all that is left and close. Nobody writes any more, or what they write is not waited for."""
        for _ in range(MAX_LAST_READS):
            if not self.drain_stdout() and not self.drain_stderr():
                break
        for stream in (self.stdout, self.stderr):
            self._note(stream, stream.finish())
        self._end_run()
        if self._order is not None:
            os.close(self._order)

    def _note(self, stream: Stream, size: int) -> None:
        if not size:
            return
        if stream is not self._current:
            if self._current is not None and self._order is None:
                path = os.path.join(self._directory, "order.log")
                self._order = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            self._end_run()
            self._current = stream
            self._run_start = time.time_ns() // 1000
            self._run_length = 0
        self._run_length += size

    def _end_run(self) -> None:
        if self._order is not None and self._current is not None and self._run_length:
            line = f"{self._run_start} {self._current.name} {self._run_length}\n"
            try:
                os.write(self._order, line.encode())
            except OSError:
                pass  # a full disk: the streams themselves say so


def interleaved(directory: str) -> Iterator[Tuple[str, bytes]]:
    """The bytes of both logs in the order in which they arrived: (stream, at most 64 KiB) after each other."""
    files: Dict[str, BinaryIO] = {}
    try:
        for name in STREAMS:
            try:
                files[name] = open(log_path(directory, name), "rb")  # noqa: SIM115 - closed below
            except FileNotFoundError:
                continue
        for name, length in _order(directory):
            if name in files:
                yield from _take(name, files[name], length)
        for name, file in files.items():
            yield from _take(name, file, None)
    finally:
        for file in files.values():
            file.close()


def _order(directory: str) -> List[Tuple[str, int]]:
    rows: List[Tuple[str, int]] = []
    try:
        with open(os.path.join(directory, "order.log"), encoding="utf-8") as file:
            for line in file:
                fields = line.split()
                if len(fields) == 3 and line.endswith("\n"):
                    rows.append((fields[1], int(fields[2])))
    except FileNotFoundError:
        pass
    return rows


def _take(name: str, file: BinaryIO, length: Optional[int]) -> Iterator[Tuple[str, bytes]]:
    left = length
    while left is None or left > 0:
        data = file.read(CHUNK if left is None else min(CHUNK, left))
        if not data:
            return
        if left is not None:
            left -= len(data)
        yield name, data
