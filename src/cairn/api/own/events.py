"""A run as it happens: server-sent events of its transitions and of what its steps write.

Every event of the journal carries its sequence as `id`; a client that comes back with `Last-Event-ID` misses nothing
and sees nothing twice. `log` events are not numbered: whoever comes back gets logs from the beginning.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec

from cairn.api.http import Call, Reply
from cairn.api.own import runs
from cairn.api.own.operations import choice, integer
from cairn.api.own.watching import JournalWatch
from cairn.domain.runs import AttemptRecord, JournalEntry, Run
from cairn.domain.states import AttemptState
from cairn.engine.log_tails import LogTail, choose, replicas
from cairn.errors import NotFound
from cairn.launcher.logs import STREAMS, interleaved

BEAT_SECONDS = 15.0  # a comment keeps proxies from closing what is quiet
LOG_SECONDS = 0.1  # between two looks at logs that grow
QUIET_LOG_SECONDS = 1.0  # … at logs that do not, in the end
_PAGE = 500
_TEXT = 1 << 16  # characters of log in one event


class Events:
    def __init__(self, watch: JournalWatch) -> None:
        self._watch = watch

    async def stream(self, call: Call) -> Reply:
        """`text/event-stream` of one run, from `Last-Event-ID` or `after`, until it has ended."""
        after = await asyncio.to_thread(_after, call)
        run = await asyncio.to_thread(runs.find, call, call.variables["run"])
        logs = choice(call, "logs", ("true", "false")) == "true"
        body = self._events(call, run, after, with_logs=logs)
        return Reply(200, body, "text/event-stream; charset=utf-8", {"cache-control": "no-store"})

    async def _events(self, call: Call, run: Run, after: int, *, with_logs: bool) -> AsyncIterator[bytes]:
        records = call.context.cairn.records
        tails: dict[str, LogTail] = {}
        yield b"retry: 1000\n\n"
        quiet, pause = 0.0, LOG_SECONDS
        while True:
            state = (await asyncio.to_thread(records.run, run.uid)).state  # before the entries that led to it
            told = False
            async for event, sequence in self._entries(call, run, after):
                after, told = max(after, sequence), True
                yield event
            if with_logs:
                async for event in _chunks(_log_events(call, run, tails)):
                    told = True
                    yield event
            if state.terminal:
                ended = await asyncio.to_thread(runs.detail, call, await asyncio.to_thread(records.run, run.uid))
                yield _event("end", ended)
                return
            if call.context.draining:
                yield _event("draining", {"after": after})
                return
            pause = LOG_SECONDS if told else min(pause * 1.2, QUIET_LOG_SECONDS)
            wait = pause if with_logs else BEAT_SECONDS
            if quiet >= BEAT_SECONDS:
                quiet = 0.0
                yield b": \n\n"
            await self._watch.moved(run.uid, after, wait)
            quiet = 0.0 if told else quiet + wait

    async def _entries(self, call: Call, run: Run, after: int) -> AsyncIterator[tuple[bytes, int]]:
        records = call.context.cairn.records
        while True:
            page = await asyncio.to_thread(records.journal, after, run_uid=run.uid, limit=_PAGE)
            for entry in page:
                after = entry.sequence
                yield _event(entry.kind, _told(entry), entry.sequence), entry.sequence
            if len(page) < _PAGE:
                return


def logs(call: Call) -> Reply:
    """What steps have written so far, as text, one after another in the order in which they started; the replicas of
    one in the order of its worker pools."""
    run = runs.find(call, call.variables["run"])
    only, replica = choice(call, "stream", STREAMS), call.first("replica")
    attempts = choose(call.context.cairn.records.attempts(run.uid), call.first("task"), call.first("attempt") or None)
    chosen = [(name, part) for one in attempts for name, part in replicas(one) if replica in ("", name)]
    if replica and not chosen:
        raise NotFound(f"there is no replica {replica[:80]!r}", place="replica")
    body = _chunks(_pieces([part for _, part in chosen], only))
    return Reply(200, body, "text/plain; charset=utf-8", {"content-disposition": "attachment"})


def _pieces(attempts: list[AttemptRecord], only: str) -> Iterator[bytes]:
    for one in attempts:
        for stream, data in interleaved(one.directory):
            if only in ("", stream):
                yield data


async def _chunks(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Read off the event loop, one piece at a time."""
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece


def _after(call: Call) -> int:
    last = call.headers.get("last-event-id", "")
    if last.isdecimal() and len(last) < 19:
        return int(last)
    return integer(call, "after", 0, low=0, high=(1 << 63) - 1)


def _told(entry: JournalEntry) -> dict[str, Any]:
    return {
        "sequence": entry.sequence,
        "time": entry.time,
        "kind": entry.kind,
        "path": entry.path,
        "state": entry.state,
        "detail": entry.detail,
    }


def _log_events(call: Call, run: Run, tails: dict[str, LogTail]) -> Iterator[bytes]:
    """What has come since the last look, read no faster than it is taken."""
    for one in choose(call.context.cairn.records.attempts(run.uid), call.first("task"), "all"):
        for name, part in replicas(one):
            tail = tails.setdefault(part.directory, LogTail(part))
            told = {"task": one.path, "attempt": one.number, **({"replica": name} if name else {})}
            for stream, data in tail.more(ended=one.state is not AttemptState.RUNNING):
                text = data.decode(errors="replace")
                for at in range(0, len(text), _TEXT):
                    yield _event("log", {**told, "stream": stream, "text": text[at : at + _TEXT]})


def _event(kind: str, data: Any, sequence: int = 0) -> bytes:
    number = f"id: {sequence}\n" if sequence else ""
    return f"{number}event: {kind}\ndata: ".encode() + msgspec.json.encode(data) + b"\n\n"
