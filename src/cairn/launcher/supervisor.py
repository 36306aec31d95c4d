"""The waiter: handles one attempt at a time, outlives the engine while it does, and is used again for the next."""

from __future__ import annotations

import gc
import os
import select
from typing import Optional

from cairn.launcher import linux
from cairn.launcher import spare as spares
from cairn.launcher.attempt import Attempt
from cairn.launcher.control import Control
from cairn.launcher.runtime import Call, Preload
from cairn.launcher.spare import Spare
from cairn.launcher.wire import Channel


def serve(fd: int, preload: Optional[Preload]) -> Call:
    """Run attempts until the engine's end of `fd` closes. Returns only in a step's own process."""
    os.setsid()
    linux.become_subreaper()
    gc.freeze()
    if preload is not None:
        preload.own_modules()
    control = Control()
    channel = Channel(fd)
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(fd, select.POLLIN)
    spare: Optional[Spare] = None
    while not channel.closed:
        if spare is None:
            spare, call = spares.fork(preload)
            if call is not None:
                return call
        message = channel.poll()
        if message is None:
            if not channel.closed:
                poller.poll()
                control.drain()
                if control.stop or control.kill:
                    break
            continue
        head, body = message
        if head["op"] == "start":
            attempt = Attempt(head, body, channel, control, preload, spare)
            call = attempt.run()
            if call is not None:
                return call
            if attempt.failed_to_begin:
                break
            spare = attempt.spare
            control.stop = control.kill = False
    os._exit(0)
