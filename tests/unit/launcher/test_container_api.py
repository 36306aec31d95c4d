import socket
import struct

import pytest

from cairn.launcher.container_api import ContainerApi, EngineError, EngineGone, Reply, Stream
from cairn.launcher.container_member import INIT_FAILED


def _frame(kind, data):
    return struct.pack(">BxxxI", kind, len(data)) + data


@pytest.mark.parametrize("size", [1, 3, 9, 100_000])
def test_frames_are_taken_apart_wherever_they_are_cut(size):
    ours, theirs = socket.socketpair()
    text = _frame(1, b"one\n") + _frame(2, b"two\n") + _frame(1, b"x" * 40_000) + _frame(1, b"") + _frame(2, b"end")
    stream = Stream(ours, text[:5])
    found = {"stdout": b"", "stderr": b""}
    for start in range(5, len(text), size):
        theirs.sendall(text[start : start + size])
        stream.read()
        for name, data in stream.parts():
            found[name] += data
    theirs.close()
    stream.read()
    assert stream.at_end
    assert found == {"stdout": b"one\n" + b"x" * 40_000, "stderr": b"two\nend"}
    stream.close()


@pytest.fixture
def engine(tmp_path):
    """A socket that somebody listens at; the test answers."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "s"))
    listening.listen()
    yield str(tmp_path / "s"), listening
    listening.close()


def _answer(listening, *parts):
    connection, _ = listening.accept()
    connection.recv(65536)
    for part in parts:
        connection.sendall(part)
    connection.close()


def test_an_answer_that_has_not_come_yet_is_not_waited_for(engine):
    path, listening = engine
    reply = Reply(path, "POST", "/containers/x/wait")
    connection, _ = listening.accept()
    connection.recv(65536)
    assert reply.poll() == (False, None)
    connection.sendall(b"HTTP/1.0 200 OK\r\nApi-Version: 1.41\r\n\r\n")
    assert reply.poll() == (False, None)
    connection.sendall(b'{"StatusCode": 3}\n')
    assert reply.poll() == (False, None)
    connection.close()
    assert reply.poll() == (True, {"StatusCode": 3})


@pytest.mark.parametrize(
    "text", [b"", b"HTTP/1.0 200", b"HTTP/1.0 200 OK\r\n\r\n", b'HTTP/1.0 200 OK\r\n\r\n{"Status'], ids=repr
)
def test_an_answer_that_breaks_off_is_no_answer(engine, text):
    path, listening = engine
    reply = Reply(path, "POST", "/containers/x/wait")
    _answer(listening, text)
    with pytest.raises(EngineGone):
        reply.poll()


def test_a_refusal_is_told_in_the_engines_words(engine):
    path, listening = engine
    reply = Reply(path, "POST", "/containers/create")
    _answer(listening, b'HTTP/1.0 409 Conflict\r\n\r\n{"message": "the name is in use"}')
    with pytest.raises(EngineError) as raised:
        reply.read()
    assert (raised.value.status, raised.value.message) == (409, "the name is in use")


def test_nobody_at_the_socket_is_said(tmp_path):
    with pytest.raises(EngineGone, match="No such file"):
        ContainerApi(str(tmp_path / "nobody")).ping(1.0)


@pytest.mark.parametrize(
    "words",
    [
        b"[FATAL tini (7)] exec nosuch failed: No such file or directory\n",
        b"ERROR (catatonit:2): failed to exec pid1: No such file or directory\n",
    ],
)
def test_the_words_of_an_init_that_could_not_execute_are_known(words):
    found = INIT_FAILED.fullmatch(words)
    assert (found.group("why") or found.group("reason")).strip() == b"No such file or directory"
    assert not INIT_FAILED.fullmatch(b"the step's own\n" + words)
