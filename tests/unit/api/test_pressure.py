import asyncio

import pytest

from cairn.api.inbox import HIGH_WATER, Inbox
from cairn.api.pressure import Pressure
from cairn.errors import Overloaded


def test_requests_are_counted_while_they_run():
    pressure = Pressure(requests=2)
    with pressure.one_more(), pressure.one_more(), pytest.raises(Overloaded):
        pressure.one_more()
    with pressure.one_more():
        assert pressure.requests == 1


def test_bytes_are_given_back_also_after_an_error():
    pressure = Pressure(bodies=100)

    def hold(*sizes: int) -> None:
        with pressure.one_more() as load:
            for size in sizes:
                load.add(size)

    with pytest.raises(Overloaded):
        hold(60, 60)
    assert (pressure.requests, pressure.bytes) == (0, 0)
    with pressure.one_more() as load:
        load.add(100)
        assert pressure.bytes == 100


def body(size: int) -> dict[str, object]:
    return {"type": "http.request", "body": b"x" * size, "more_body": True}


def test_a_reader_that_waits_holds_the_sender():
    async def scene() -> None:
        inbox = Inbox()
        sender = asyncio.ensure_future(inbox.put(body(HIGH_WATER)))
        await asyncio.sleep(0.01)
        assert not sender.done()
        assert len((await inbox.get())["body"]) == HIGH_WATER
        await asyncio.wait_for(sender, 1)
        await asyncio.wait_for(inbox.put(body(1)), 1)

    asyncio.run(scene())


def test_the_end_of_a_connection_is_never_held():
    async def scene() -> None:
        inbox = Inbox()
        sender = asyncio.ensure_future(inbox.put(body(HIGH_WATER * 2)))
        await asyncio.sleep(0.01)
        await asyncio.wait_for(inbox.put({"type": "http.disconnect"}), 1)
        inbox.close()
        await asyncio.wait_for(sender, 1)
        await asyncio.wait_for(inbox.put(body(HIGH_WATER * 2)), 1)

    asyncio.run(scene())
