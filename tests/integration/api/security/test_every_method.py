"""Every gRPC method, asked by nobody, by a stranger and by the owner."""

import importlib.util
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cairn.api.grpc.methods import callables
from cairn.api.vertex.codec import to_message
from cairn.api.vertex.scalars import camel

grpc = pytest.importorskip("grpc")

_spec = importlib.util.spec_from_file_location("security_asking", Path(__file__).parent / "asking.py")
asking = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(asking)

MINE = "mine"
CANARY = b"canary7c1e"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
Code = grpc.StatusCode
METHODS = callables()


def request_of(call, known):
    """The method's message, with a resource of project `mine` where its first rule has one."""
    asked = {}
    rules = [rule for rule in call.method.rules if "projects/" in rule.template] or call.method.rules
    for found in asking.VARIABLE.finditer(rules[0].template) if rules else ():
        at = asked
        *path, last = (camel(part) for part in found[1].split("."))
        for part in path:
            at = at.setdefault(part, {})
        at[last] = asking.resource(found[2] or "*", known, MINE)
    return to_message(call.method.request, asked)


class Line:
    def __init__(self, url, headers):
        self.channel = grpc.insecure_channel(urlsplit(url).netloc)
        self.metadata = [(name.lower(), value) for name, value in headers.items()]

    def ask(self, path, message=b"", metadata=None):
        """Status, message and details."""
        ask = self.channel.unary_unary(path)
        try:
            return Code.OK, ask(message, metadata=self.metadata if metadata is None else metadata, timeout=30), ""
        except grpc.RpcError as error:
            return error.code(), b"", error.details()

    def close(self):
        self.channel.close()


@pytest.fixture
def line(filled):
    made = []

    def make(who):
        made.append(Line(filled.server.url, filled.headers(who)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def walk(filled, one):
    for path, call in METHODS.items():
        yield call, *one.ask(path, request_of(call, filled.known))


def in_project(call):
    return any("projects/" in rule.template for rule in call.method.rules) and call.method.name != "Projects.GetProject"


def test_the_methods_are_all_here():
    assert len(METHODS) > 200
    assert sum(map(in_project, METHODS.values())) > 150


def test_nobody_is_told_nothing(filled, line):
    wrong = [
        (call.method.name, code) for call, code, _, _ in walk(filled, line("nobody")) if code != Code.UNAUTHENTICATED
    ]
    assert wrong == []


def test_nobody_does_not_learn_what_is_there(line):
    nobody = line("nobody")
    assert nobody.ask(HEALTH)[0] == Code.OK
    assert nobody.ask("/no.Such/Method")[0] == Code.UNAUTHENTICATED
    stream = nobody.channel.stream_stream(REFLECTION)
    with pytest.raises(grpc.RpcError) as refused:
        list(stream(iter([b"\x3a\x00"]), timeout=30))
    assert refused.value.code() == Code.UNAUTHENTICATED
    assert line("owner").ask("/no.Such/Method")[0] == Code.UNIMPLEMENTED


def test_a_stranger_finds_nothing(filled, line):
    wrong = []
    for call, code, message, details in walk(filled, line("stranger")):
        hidden = code in ((Code.NOT_FOUND, Code.UNIMPLEMENTED) if in_project(call) else (*Code,))
        told = re.sub(r"[\w/-]*canary7c1e-\w+", "", details)  # what was asked for may be said again
        if not hidden or CANARY in message or CANARY.decode() in told or code in (Code.UNKNOWN, Code.INTERNAL):
            wrong.append((call.method.name, code, details))
    assert wrong == []


def test_a_stranger_is_told_not_found_where_the_owner_is_answered(filled, line):
    """The other way round: what is answered at all is hidden, not just missing."""
    owner, stranger = line("owner"), line("stranger")
    answered = 0
    for path, call in METHODS.items():
        if in_project(call) and call.method.verb.startswith(("Get", "List", "Query")):
            message = request_of(call, filled.known)
            if owner.ask(path, message)[0] == Code.OK:
                answered += 1
                assert stranger.ask(path, message)[0] == Code.NOT_FOUND, call.method.name
    assert answered >= 5


def test_the_owner_is_never_kept_out(filled_anew):
    owner = Line(filled_anew.server.url, filled_anew.headers("owner"))
    kept_out = (Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.UNKNOWN, Code.INTERNAL)
    wrong = [
        (call.method.name, code, details) for call, code, _, details in walk(filled_anew, owner) if code in kept_out
    ]
    assert wrong == []
    owner.close()


def test_a_viewer_changes_nothing(filled, line):
    path = "/google.cloud.aiplatform.v1.PipelineService/DeletePipelineJob"
    name = f"projects/{MINE}/locations/local/pipelineJobs/{filled.known['pipelineJobs']}"
    message = to_message("google.cloud.aiplatform.v1.DeletePipelineJobRequest", {"name": name})
    assert line("viewer").ask(path, message)[0] == Code.PERMISSION_DENIED
    assert line("stranger").ask(path, message)[0] == Code.NOT_FOUND
    get = to_message("google.cloud.aiplatform.v1.GetPipelineJobRequest", {"name": name})
    assert line("viewer").ask(path.replace("Delete", "Get"), get)[0] == Code.OK


@pytest.mark.parametrize("authorization", ["Bearer x", "Bearer cairn_x", "Basic x", "Bearer a.b.c", ""])
def test_wrong_credentials_are_refused(line, authorization):
    path = "/google.cloud.aiplatform.v1.PipelineService/ListPipelineJobs"
    assert line("nobody").ask(path, metadata=[("authorization", authorization)])[0] == Code.UNAUTHENTICATED


def test_a_name_that_was_made_to_lead_here_is_refused(filled):
    options = [("grpc.default_authority", "evil.example.com")]
    with grpc.insecure_channel(urlsplit(filled.server.url).netloc, options) as channel:
        one = Line(filled.server.url, filled.headers("owner"))
        one.channel.close()
        one.channel = channel
        code, _, details = one.ask("/google.cloud.aiplatform.v1.PipelineService/ListPipelineJobs")
        assert code == Code.PERMISSION_DENIED and "no name of this server" in details
