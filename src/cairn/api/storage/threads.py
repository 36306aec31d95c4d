"""Where handlers wait for disks and stores. A store that hangs must not hold the threads that everything else needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import ParamSpec, TypeVar

from cairn.api.http import Call, Handler, Reply

STORE_THREADS = 16
P = ParamSpec("P")
T = TypeVar("T")


def apart(call: Call, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> Awaitable[T]:
    """Call it in a thread: of its own kind, when a bucket of the request is kept in a real store."""
    pool = _store_pool() if _of_a_store(call) else None
    return asyncio.get_running_loop().run_in_executor(pool, partial(function, *arguments, **named))


def moved_apart(handler: Callable[[Call], Reply]) -> Handler:
    """The same handler, that does not wait for a real store in the threads of all requests."""

    def answered(call: Call) -> Reply | Awaitable[Reply]:
        return _answered(handler, call) if _of_a_store(call) else handler(call)

    return answered


async def _answered(handler: Callable[[Call], Reply], call: Call) -> Reply:
    return await apart(call, handler, call)


def _of_a_store(call: Call) -> bool:
    cairn = call.context.cairn
    if not cairn.settings.buckets:
        return False
    names = (call.variables.get(variable, "") for variable in ("bucket", "to_bucket"))
    return any(name and cairn.objects_of(name) is not cairn.objects for name in names)


@cache
def _store_pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(STORE_THREADS, thread_name_prefix="stores")
