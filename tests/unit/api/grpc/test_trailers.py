import pytest
from google.rpc import error_details_pb2, status_pb2

from cairn.api.grpc.trailers import grpc_status_of, timeout_of, trailers_of
from cairn.api.status import HTTP_STATUS, Code, Status
from cairn.errors import InputRefused, NotFound, Overloaded, TooLarge, TooManyRequests


def details(status: Status) -> status_pb2.Status:
    import base64

    content = dict(trailers_of(status))[b"grpc-status-details-bin"]
    return status_pb2.Status.FromString(base64.b64decode(content + b"=" * (-len(content) % 4)))


def test_success_has_nothing_but_its_code():
    assert trailers_of(Status(Code.OK, "", 200)) == [(b"grpc-status", b"0")]


def test_words_are_percent_encoded_and_stand_in_the_details():
    status = grpc_status_of(NotFound("100% ü\n~ "))
    trailers = dict(trailers_of(status))
    assert trailers[b"grpc-status"] == b"5"
    assert trailers[b"grpc-message"] == b"100%25 %C3%BC%0A~ "
    assert details(status) == status_pb2.Status(code=5, message="100% ü\n~ ")


@pytest.mark.parametrize(("error", "seconds"), [(Overloaded(), 1), (TooManyRequests("x"), 1)])
def test_who_may_come_back_is_told_when(error, seconds):
    found = details(grpc_status_of(error))
    info = error_details_pb2.RetryInfo()
    assert found.details[0].Unpack(info)
    assert info.retry_delay.seconds == seconds


@pytest.mark.parametrize("code", list(Code)[1:])
def test_every_code_is_told(code):
    assert details(Status(code, "words", HTTP_STATUS[code])).code == int(code)


@pytest.mark.parametrize("text", ["a", "ü", "😀", "%", "\x7f", "a😀%"])
@pytest.mark.parametrize("length", [1, 1999, 2000, 2001, 8000])
def test_all_of_it_is_less_than_clients_take(text, length):
    trailers = trailers_of(Status(Code.NOT_FOUND, text * length, 404))
    assert sum(len(name) + len(value) + 32 for name, value in trailers) < 8192
    assert all(byte in range(0x20, 0x7F) for _, value in trailers for byte in value)


def test_a_body_too_large_is_a_resource_exhausted():
    assert grpc_status_of(TooLarge()).code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("text", "seconds"), [("", None), ("1H", 3600), ("2M", 120), ("3S", 3), ("4m", 0.004), ("5u", 5e-6), ("6n", 6e-9)]
)
def test_timeouts(text, seconds):
    assert timeout_of(text) == (seconds and pytest.approx(seconds))


@pytest.mark.parametrize("text", ["1", "S", "1s", "-1S", "1.5S", "123456789S", "²S"])
def test_what_is_no_timeout_is_refused(text):
    with pytest.raises(InputRefused):
        timeout_of(text)
