"""Whether a target answers at all, before a client package asks it for minutes."""

import socket
import threading

import pytest

from cairn.submit.clients import telling


@pytest.fixture
def server():
    """`server(b"HTTP/1.1 …")`: the address of one that answers that to whoever asks; None: it never does."""
    listening = []

    def start(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def serve():
            kept = []
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if answer is not None and connection.recv(65536):
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>" + b"<hr>" * 9999,
            "answers 502 Bad Gateway",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "nobody answers at http://127.0.0.1"),
        (b"", "nobody answers at http://127.0.0.1"),
        (None, "timed out"),
    ],
    ids=["a proxy", "another protocol", "hangs up", "hangs"],
)
def test_a_server_that_cannot_be_talked_to_is_told_at_once(server, monkeypatch, answer, said):
    monkeypatch.setattr(telling, "ANSWER_SECONDS", 0.5)
    with pytest.raises(telling.Refusal, match=said):
        telling.check_reachable(server(answer))


@pytest.mark.parametrize("status", [b"200 OK", b"302 Found\r\nLocation: /", b"401 Unauthorized", b"404 Not Found"])
def test_who_asks_for_more_than_a_sign_of_life_is_answered_by_the_client(server, status):
    telling.check_reachable(server(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"))
