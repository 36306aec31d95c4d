"""Every rule of the API has a route, behind the right door."""

import pytest

from cairn.api.access import Role, Scope
from cairn.api.routing import Router
from cairn.api.vertex.description import methods
from cairn.api.vertex.handlers import handler_of, handlers
from cairn.api.vertex.routes import _warm, routes
from cairn.errors import Unimplemented

CHANGING = (
    "Create", "Update", "Delete", "Batch", "Cancel", "Pause", "Resume", "Add", "Import", "Upload", "Deploy", "Write",
    "Predict", "Remove", "Purge",
)  # fmt: skip


@pytest.fixture(scope="module")
def router():
    return Router(routes())


def test_every_rule_is_routed(router):
    rules = {(rule.verb, rule.template) for method in methods().values() for rule in method.rules}
    assert {(route.method, route.template) for route in router.routes} == rules
    assert len(rules) > 360
    assert len({route.name for route in router.routes}) == len(router.routes)


@pytest.mark.parametrize(
    ("verb", "path", "name"),
    [
        ("POST", "/v1/projects/p/locations/l/pipelineJobs", "PipelineService.CreatePipelineJob"),
        ("POST", "/v1/projects/p/locations/l/pipelineJobs:batchCancel", "PipelineService.BatchCancelPipelineJobs"),
        ("POST", "/v1/projects/p/locations/l/pipelineJobs/a:cancel", "PipelineService.CancelPipelineJob"),
        ("GET", "/v1/projects/p/locations/l/pipelineJobs/a:b", "PipelineService.GetPipelineJob"),
        ("PATCH", "/v1/projects/p/locations/l/schedules/7", "ScheduleService.UpdateSchedule"),
        ("GET", "/ui/projects/p/locations/l/operations/7", "Operations.GetOperation.1"),
        ("POST", "/v1/projects/p/locations/l/operations/7:wait", "Operations.WaitOperation"),
        ("GET", "/v1/projects/p/locations", "Locations.ListLocations"),
        ("GET", "/v1/projects/p/locations/l", "Locations.GetLocation"),
        ("GET", "/v3/projects/p", "Projects.GetProject"),
        ("GET", "/v1/projects/p", "Projects.GetProject.1"),
    ],
)  # fmt: skip
def test_a_request_finds_its_method(router, verb, path, name):
    assert router.find(verb, path).route.name == f"vertex.{name}"


def test_reading_asks_for_a_viewer_and_all_else_for_an_editor(router):
    for route in router.routes:
        method = methods()[".".join(route.name.split(".")[1:3])]
        assert route.access.role in (Role.VIEWER, Role.EDITOR)
        assert route.access.scope in (Scope.PROJECT, Scope.ANY)
        if method.verb.startswith(CHANGING) and not method.verb.startswith("BatchRead"):
            assert route.access.role is Role.EDITOR, route.name
        if route.method == "GET" and method.verb.startswith(("Get", "List", "Query")):
            assert route.access.role is Role.VIEWER, route.name
        if "projects/*" in route.template and method.name != "Projects.GetProject":
            assert route.access.scope is Scope.PROJECT, route.name


def test_what_is_loaded_beforehand_can_be():
    _warm()


def test_what_is_not_there_says_so():
    method = methods()["ModelService.UploadModel"]
    with pytest.raises(Unimplemented, match=r"ModelService\.UploadModel is not in this version"):
        handler_of(method)


def test_every_handler_is_of_a_method():
    assert handlers().keys() <= methods().keys()
    assert {"PipelineService.CreatePipelineJob", "Operations.GetOperation"} <= handlers().keys()


def test_what_is_answered_lies_in_a_project():
    """A name without a project passes the gate for anybody: no handler may be behind it."""
    for name in handlers().keys() - {"Projects.GetProject"}:
        assert all("projects/*" in rule.template for rule in methods()[name].rules), name
