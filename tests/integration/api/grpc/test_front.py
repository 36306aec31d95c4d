"""gRPC's own client against the server: what every method of the API can rely on."""

import gzip
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict

from cairn import errors
from cairn.api.access import Identity, Role
from cairn.api.vertex.description import message_class, method_descriptor, methods, pool
from cairn.api.vertex.handlers import handlers

JOB = "projects/demo/locations/us-central1/pipelineJobs/a"


class Vertex:
    """Any method by its name, on JSON."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel

    def __call__(self, name: str, request: dict[str, Any], timeout: float = 20, **options: Any) -> dict[str, Any]:
        answer, _ = self.stub(name).with_call(self.message(name, request), timeout=timeout, **options)
        return MessageToDict(answer, descriptor_pool=pool())

    def message(self, name: str, request: dict[str, Any]) -> Any:
        return ParseDict(request, message_class(methods()[name].request)(), descriptor_pool=pool())

    def stub(self, name: str) -> grpc.UnaryUnaryMultiCallable:
        method = methods()[name]
        answer = message_class(method.response)
        return self.channel.unary_unary(method.path, lambda one: one.SerializeToString(), answer.FromString)


@pytest.fixture
def running(host):
    handlers()  # made once: not by the server and the test at the same time
    return host()


@pytest.fixture
def vertex(running):
    limits = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(running.url[7:], options=limits) as channel:
        yield Vertex(channel)


@pytest.fixture
def answering(monkeypatch):
    """`answering("PipelineService.GetPipelineJob", handler)`: instead of the one there is."""

    def put(name: str, handler: Any) -> None:
        monkeypatch.setitem(handlers(), name, handler)

    return put


GET = "PipelineService.GetPipelineJob"
ERRORS = {
    errors.NotFound("no ü 50% \n"): grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists("taken"): grpc.StatusCode.ALREADY_EXISTS,
    errors.Conflict("changed"): grpc.StatusCode.ABORTED,
    errors.Unauthenticated("who"): grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied("no"): grpc.StatusCode.PERMISSION_DENIED,
    errors.TooManyRequests("slow down"): grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooLarge("big"): grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Overloaded("busy"): grpc.StatusCode.UNAVAILABLE,
    errors.Unimplemented("not yet"): grpc.StatusCode.UNIMPLEMENTED,
    errors.UnsupportedFeature("cannot"): grpc.StatusCode.FAILED_PRECONDITION,
    errors.InputRefused("wrong"): grpc.StatusCode.INVALID_ARGUMENT,
    errors.RecordsBusy("busy"): grpc.StatusCode.UNAVAILABLE,
    errors.RunCancelled("gone"): grpc.StatusCode.CANCELLED,
    ValueError("a password"): grpc.StatusCode.INTERNAL,
}


def test_every_error_has_its_code_and_words(vertex, answering):
    for error, code in ERRORS.items():

        def refuse(_request, _call, error=error):
            raise error

        answering(GET, refuse)
        with pytest.raises(grpc.RpcError) as refused:
            vertex(GET, {"name": JOB})
        assert refused.value.code() is code
        assert "password" not in refused.value.details()
        if isinstance(error, errors.CairnError):
            assert error.message.strip() in refused.value.details().replace("\n", " ").strip() or "\n" in error.message
        trailers = dict(refused.value.trailing_metadata())
        details = message_class("google.rpc.Status").FromString(trailers["grpc-status-details-bin"])
        assert (details.code, details.message) == (code.value[0], refused.value.details())
        retried = isinstance(error, errors.TooManyRequests | errors.Overloaded)
        assert [one.type_url for one in details.details] == (
            ["type.googleapis.com/google.rpc.RetryInfo"] if retried else []
        )


@pytest.mark.parametrize("text", ["x", "ü", "😀", "%"])
def test_a_long_message_is_cut_and_arrives(vertex, answering, text):
    """Every time: clients drop too long ones at random."""

    def refuse(_request, _call):
        raise errors.InputRefused(text * 7000)

    answering(GET, refuse)
    for _ in range(20):
        with pytest.raises(grpc.RpcError) as refused:
            vertex(GET, {"name": JOB})
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.value.details().endswith(f"{text}…")


def test_a_handler_sees_what_rest_would_show_it(vertex, answering):
    seen = []

    def handle(request, call):
        seen.append((request, call))
        return {"name": request["name"], "displayName": call.headers["x-mine"]}

    answering(GET, handle)
    assert vertex(GET, {"name": JOB}, metadata=[("x-mine", "a")]) == {"name": JOB, "displayName": "a"}
    request, call = seen[0]
    assert request == {"name": JOB}
    assert call.project == "demo"
    assert call.variables == {"name": JOB}
    assert call.headers["user-agent"].startswith("grpc-python")
    assert call.base_url.startswith("http://127.0.0.1:")


def test_a_deadline_ends_the_call_and_what_waits_for_a_worker(vertex, answering):
    free, begun = threading.Event(), []

    def slow(_request, call):
        begun.append(call.headers["x-number"])
        free.wait(20)
        return {}

    answering(GET, slow)

    def ask(number: int, timeout: float) -> grpc.StatusCode:
        try:
            vertex(GET, {"name": JOB}, timeout=timeout, metadata=[("x-number", str(number))])
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(40) as threads:
        first = [threads.submit(ask, number, 20) for number in range(8)]
        deadline = time.monotonic() + 5
        while len(begun) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        began = time.monotonic()
        behind = [threads.submit(ask, number, 0.3) for number in range(100, 120)]
        assert {one.result() for one in behind} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert time.monotonic() - began < 3
        time.sleep(0.2)
        free.set()
        assert {one.result() for one in first} == {grpc.StatusCode.OK}
    time.sleep(0.2)
    assert len(begun) == 8


def trailers_of(running: Any, path: str, body: bytes | None, **headers: str) -> dict[str, str]:
    """Of a call that is put together by hand; None: no message and no end."""
    with running.connect() as sock:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        connection.initiate_connection()
        given = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "localhost"}
        given |= {"content-type": "application/grpc", "te": "trailers"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.send_headers(1, list(given.items()))
        for start in range(0, len(body or b""), 16384):
            connection.send_data(1, body[start : start + 16384])
        if body is not None:
            connection.end_stream(1)
        sock.sendall(connection.data_to_send())
        while True:
            received = sock.recv(65536)
            assert received, "the connection was ended"
            for event in connection.receive_data(received):
                if isinstance(event, h2.events.TrailersReceived):
                    return dict(event.headers)
            sock.sendall(connection.data_to_send())


def test_a_deadline_is_kept_by_the_server_too(running):
    assert trailers_of(running, methods()[GET].path, None, grpc_timeout="200m")["grpc-status"] == "4"
    assert trailers_of(running, methods()[GET].path, None, grpc_timeout="soon")["grpc-status"] == "3"


def test_a_cancelled_call_is_not_begun(vertex, answering):
    free, begun = threading.Event(), []

    def slow(_request, _call):
        begun.append(1)
        free.wait(20)
        return {}

    answering(GET, slow)
    message = vertex.message(GET, {"name": JOB})
    calls = [vertex.stub(GET).future(message) for _ in range(30)]
    deadline = time.monotonic() + 5
    while len(begun) < 8 and time.monotonic() < deadline:
        time.sleep(0.01)
    for call in calls:
        call.cancel()
    time.sleep(0.5)
    free.set()
    time.sleep(0.5)
    assert len(begun) == 8
    answering(GET, lambda request, _call: {"name": request["name"]})
    assert vertex(GET, {"name": JOB}) == {"name": JOB}


def test_messages_of_megabytes_go_both_ways(vertex, answering):
    answering(GET, lambda _request, call: {"displayName": "x" * int(call.headers["x-size"])})
    for size in (0, 1, 16384, 65536, 5_000_000):
        found = vertex(GET, {"name": JOB}, metadata=[("x-size", str(size))])
        assert len(found.get("displayName", "")) == size
    create = "PipelineService.CreatePipelineJob"
    answering(create, lambda request, _call: {"displayName": str(len(request["pipelineJob"]["displayName"]))})
    parent = "projects/demo/locations/us-central1"
    for size in (10, 100_000, 5_000_000):
        found = vertex(create, {"parent": parent, "pipelineJob": {"displayName": "x" * size}})
        assert found == {"displayName": str(size)}


def test_a_message_beyond_the_limit_is_refused_and_its_channel_lives_on(vertex, answering):
    answering(GET, lambda request, _call: {"name": request["name"]})
    create = "PipelineService.CreatePipelineJob"
    parent = "projects/demo/locations/us-central1"
    request = {"parent": parent, "pipelineJob": {"displayName": "x" * (33 * 1024 * 1024)}}
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as refused:
            vertex(create, request)
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert vertex(GET, {"name": JOB}) == {"name": JOB}


def test_compressed_messages_are_read(running, answering):
    answering(GET, lambda request, _call: {"name": request["name"]})
    with grpc.insecure_channel(running.url[7:], compression=grpc.Compression.Gzip) as channel:
        assert Vertex(channel)(GET, {"name": JOB + "a" * 2000})["name"] == JOB + "a" * 2000
    deflated = grpc.insecure_channel(running.url[7:], compression=grpc.Compression.Deflate)
    with deflated as channel, pytest.raises(grpc.RpcError) as refused:
        Vertex(channel)(GET, {"name": JOB + "a" * 2000})
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_unpacks_to_more_than_the_limit_is_refused(running):
    packed = gzip.compress(b"\0" * (33 * 1024 * 1024))
    frame = struct.pack(">BL", 1, len(packed)) + packed
    assert len(frame) < 60_000
    trailers = trailers_of(running, methods()[GET].path, frame, grpc_encoding="gzip")
    assert (trailers["grpc-status"], "larger than" in trailers["grpc-message"]) == ("8", True)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "no message"),
        (b"\0\0\0", "inside a message"),
        (b"\0\0\0\0\5abc", "inside a message"),
        (b"\0\0\0\0\0" * 2, "more than one"),
        (b"\1\0\0\0\1a", "without its encoding"),
    ],
)
def test_frames_that_are_none_are_refused(running, frame, words):
    trailers = trailers_of(running, methods()[GET].path, frame)
    assert (trailers["grpc-status"], words in trailers["grpc-message"]) == ("3", True)


def test_another_name_of_the_server_is_refused(running):
    headers = {":authority": "evil.example"}
    trailers = trailers_of(running, methods()[GET].path, b"\0\0\0\0\0", **headers)
    assert trailers["grpc-status"] == "7"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/google.cloud.aiplatform.v1.PipelineService/NoMethod", grpc.StatusCode.UNIMPLEMENTED),
        ("/no.Service/Method", grpc.StatusCode.UNIMPLEMENTED),
        ("/", grpc.StatusCode.UNIMPLEMENTED),
        ("/google.cloud.aiplatform.v1.ModelService/GetModel", grpc.StatusCode.INVALID_ARGUMENT),
        ("/google.cloud.aiplatform.v1.PredictionService/StreamingPredict", grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_what_is_not_there(vertex, path, code):
    with pytest.raises(grpc.RpcError) as refused:
        vertex.channel.unary_unary(path)(b"", timeout=10)
    assert refused.value.code() is code


def test_methods_that_this_version_lacks_say_so(vertex):
    with pytest.raises(grpc.RpcError) as refused:
        vertex("ModelService.GetModel", {"name": "projects/demo/locations/us-central1/models/1"})
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "ModelService.GetModel" in refused.value.details()


def test_bytes_that_are_no_message_are_refused(vertex):
    with pytest.raises(grpc.RpcError) as refused:
        vertex.channel.unary_unary(methods()[GET].path)(b"\xff\xff\xff", timeout=10)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_stranger_sees_no_project_and_nobody_sees_nothing(running, vertex, answering, monkeypatch):
    answering(GET, lambda request, _call: {"name": request["name"]})
    gate = running.server.application.gate
    stranger = Identity("stranger", {"other": Role.EDITOR})
    monkeypatch.setattr(type(gate), "admit", lambda *_: stranger)
    with pytest.raises(grpc.RpcError) as refused:
        vertex(GET, {"name": JOB})
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert vertex(GET, {"name": JOB.replace("demo", "other")})["name"].startswith("projects/other/")
    viewer = Identity("viewer", {"demo": Role.VIEWER})
    monkeypatch.setattr(type(gate), "admit", lambda *_: viewer)
    assert vertex(GET, {"name": JOB}) == {"name": JOB}
    with pytest.raises(grpc.RpcError) as refused:
        vertex("PipelineService.CancelPipelineJob", {"name": JOB})
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("name", ["", "a", "projects/demo", JOB + "/x", "/" + JOB, JOB.replace("demo", ""), "x/" + JOB])
def test_a_name_that_is_none_is_refused_before_the_handler(vertex, answering, name):
    called = []
    answering(GET, lambda *_: called.append(1) or {})
    with pytest.raises(grpc.RpcError) as refused:
        vertex(GET, {"name": name})
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not called


def test_fifty_at_once_for_thousands_of_calls(vertex, answering):
    answering(GET, lambda request, _call: {"name": request["name"]})
    each = 100

    def ask(number: int) -> int:
        for index in range(each):
            name = f"{JOB}{number}-{index}"
            assert vertex(GET, {"name": name}) == {"name": name}
        return each

    with ThreadPoolExecutor(50) as threads:
        assert sum(threads.map(ask, range(50))) == 50 * each


def test_http_1_and_other_content_types_are_told(running):
    path = methods()[GET].path
    assert httpx.post(f"{running.url}{path}", headers={"content-type": "application/grpc"}).status_code == 415
    with httpx.Client(http1=False, http2=True) as client:
        for kind in ("application/grpc-web", "application/grpc+json"):
            assert client.post(f"{running.url}{path}", headers={"content-type": kind}).status_code == 415


def test_the_description_names_every_method():
    for method in methods().values():
        assert method_descriptor(method).full_name.replace(".", "/") in method.path.replace(".", "/")
