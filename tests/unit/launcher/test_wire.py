import os
import socket

import pytest

from cairn.launcher import wire


def test_messages_survive_any_cut_of_the_stream():
    messages = [({"op": "a", "text": "ü\udcff"}, b""), ({"op": "b"}, bytes(range(256))), ({}, b"x" * 1000)]
    stream = b"".join(wire.encode(head, body) for head, body in messages)
    for size in (1, 7, len(stream)):
        decoder, found = wire.Decoder(), []
        for start in range(0, len(stream), size):
            decoder.feed(stream[start : start + size])
            while (message := decoder.next()) is not None:
                found.append(message)
        assert found == messages


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_channel_never_waits_for_a_message(pair):
    ours, theirs = pair
    channel = wire.Channel(theirs.fileno())
    assert channel.poll() is None
    frame = wire.encode({"op": "x"}, b"body")
    ours.sendall(frame[:5])
    assert channel.poll() is None
    ours.sendall(frame[5:] + frame)
    assert channel.poll() == ({"op": "x"}, b"body")
    assert channel.poll() == ({"op": "x"}, b"body")
    assert not channel.closed


def test_messages_before_the_end_are_still_given(pair):
    ours, theirs = pair
    channel = wire.Channel(theirs.fileno())
    ours.sendall(wire.encode({"op": "last"}))
    ours.close()
    assert channel.poll() == ({"op": "last"}, b"")
    assert channel.poll() is None
    assert channel.closed
    channel.send(b"nobody reads this")


def test_a_passed_descriptor_arrives(pair):
    ours, theirs = pair
    reader, writer = os.pipe()
    socket.send_fds(ours, [b"s"], [writer])
    os.close(writer)
    passed = wire.receive_descriptor(theirs)
    os.write(passed, b"through")
    os.close(passed)
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    ours.close()
    assert wire.receive_descriptor(theirs) is None
