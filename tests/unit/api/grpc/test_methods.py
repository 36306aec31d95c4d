"""A call's project is found as REST finds it, or not at all."""

import pytest

from cairn.api.access import READ, READ_ANY, WRITE, WRITE_ANY, Scope
from cairn.api.grpc.methods import callables, services
from cairn.api.vertex.description import methods
from cairn.errors import InputRefused

PLACE = "projects/p/locations/l"


def bound(name, request):
    return callables()[methods()[name].path].bound(request)


@pytest.mark.parametrize(
    ("name", "request_", "access", "variables"),
    [
        (
            "PipelineService.GetPipelineJob",
            {"name": f"{PLACE}/pipelineJobs/a"},
            READ,
            {"name": f"{PLACE}/pipelineJobs/a"},
        ),
        ("PipelineService.CreatePipelineJob", {"parent": PLACE}, WRITE, {"parent": PLACE}),
        (
            "ScheduleService.UpdateSchedule",
            {"schedule": {"name": f"{PLACE}/schedules/1"}},
            WRITE,
            {"schedule.name": f"{PLACE}/schedules/1"},
        ),
    ],
)
def test_the_project_is_that_of_the_name(name, request_, access, variables):
    assert bound(name, request_) == (access, variables)


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("PipelineService.GetPipelineJob", {}),
        ("PipelineService.GetPipelineJob", {"name": f"{PLACE}/pipelineJobs/a/b"}),
        ("PipelineService.GetPipelineJob", {"name": f"{PLACE}/models/a"}),
        ("PipelineService.GetPipelineJob", {"name": "projects//locations/l/pipelineJobs/a"}),
        ("PipelineService.GetPipelineJob", {"name": f"{PLACE}/pipelineJobs/a\n"}),
        ("ScheduleService.UpdateSchedule", {"schedule": {}}),
        ("ScheduleService.UpdateSchedule", {"schedule": []}),
    ],
)
def test_what_rest_has_no_path_for_is_refused(name, request_):
    with pytest.raises(InputRefused):
        bound(name, request_)


def test_what_names_a_project_never_counts_as_naming_none():
    """Some methods have a rule without a project beside the others: it is for requests that name none."""
    for call in callables().values():
        if any(not binding.fields for binding in call.bindings) and any(binding.fields for binding in call.bindings):
            path = next(binding.fields[0][0] for binding in call.bindings if binding.fields)
            request = {path[-1]: "projects/secret/elsewhere"}
            for part in reversed(path[:-1]):
                request = {part: request}
            with pytest.raises(InputRefused):
                call.bound(request)
            assert call.bound({})[0] in (READ_ANY, WRITE_ANY)


def test_every_method_with_rules_can_be_called_in_some_project():
    for call in callables().values():
        for binding in call.bindings:
            assert binding.access.scope in (Scope.PROJECT, Scope.ANY)


def test_services_are_those_with_methods_here():
    assert "google.longrunning.Operations" in services()
    assert "google.cloud.aiplatform.v1.ModelService" not in services()
