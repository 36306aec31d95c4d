"""VizierService: studies and their trials, the same ones that tuning jobs make."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cairn.api.http import Call
from cairn.api.vertex.names import Place, place_of, resource
from cairn.api.vertex.naming import check_display_name
from cairn.api.vertex.study_view import trial_view
from cairn.api.vertex.times import put
from cairn.errors import InputRefused
from cairn.tuning.reading import duration
from cairn.tuning.types import Measurement, Study, Trial

if TYPE_CHECKING:
    from cairn.tuning.service import StudyService

DEFAULT_PAGE, MAX_PAGE = 100, 1000
DEFAULT_TRIALS, MAX_TRIALS = 1000, 10_000  # the client reads the first page alone


# --- studies ---------------------------------------------------------------------------------------------------------


def create_study(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    message = request.get("study") or {}
    for field in ("displayName", "studySpec"):
        if not message.get(field):
            raise InputRefused("is required", place=f"study.{field}")
    study = Study(
        message["studySpec"],
        display_name=check_display_name(message["displayName"], "study.displayName"),
        project=place.project,
        location=place.location,
        owner=call.identity.name,
    )
    return _view(_studies(call).create(study))


def get_study(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return _view(_find(request.get("name", ""), call))


def list_studies(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    found, token = _studies(call).page(
        projects=[place.project],
        location=place.location,
        query="studies",
        token=request.get("pageToken", ""),
        limit=_page_size(request, DEFAULT_PAGE, MAX_PAGE),
    )
    return _page("studies", [_view(study) for study in found], token)


def lookup_study(request: dict[str, Any], call: Call) -> dict[str, Any]:
    place = place_of(request.get("parent", ""))
    name = request.get("displayName", "")
    if not name:
        raise InputRefused("is required", place="displayName")
    return _view(_studies(call).lookup(name, project=place.project, location=place.location))


def delete_study(request: dict[str, Any], call: Call) -> dict[str, Any]:
    _studies(call).delete(_find(request.get("name", ""), call))
    return {}


# --- trials ----------------------------------------------------------------------------------------------------------


def suggest_trials(request: dict[str, Any], call: Call) -> dict[str, Any]:
    study = _find(request.get("parent", ""), call, "parent")
    begun = time.time_ns() // 1000
    found = _studies(call).suggest(
        study,
        request.get("suggestionCount", 0),
        request.get("clientId", ""),
        [_parameters(one, f"contexts[{index}]") for index, one in enumerate(request.get("contexts") or ())],
    )
    answer: dict[str, Any] = {"trials": [trial_view(one) for one in found.trials], "studyState": str(found.state)}
    put(answer, startTime=begun, endTime=time.time_ns() // 1000)
    return answer


def create_trial(request: dict[str, Any], call: Call) -> dict[str, Any]:
    study = _find(request.get("parent", ""), call, "parent")
    message = request.get("trial") or {}
    final = message.get("finalMeasurement")
    measurements = enumerate(message.get("measurements") or ())
    infeasible = message.get("infeasibleReason", "")
    if not infeasible and message.get("state") == "INFEASIBLE":
        infeasible = "no reason was given"
    made = _studies(call).create_trial(
        study,
        _parameters(message, "trial"),
        final=None if final is None else _measurement(final, "trial.finalMeasurement"),
        infeasible_reason=infeasible,
        measurements=[_measurement(one, f"trial.measurements[{index}]") for index, one in measurements],
        client_id=message.get("clientId", ""),
    )
    return trial_view(made)


def get_trial(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return trial_view(_trial(request.get("name", ""), call))


def list_trials(request: dict[str, Any], call: Call) -> dict[str, Any]:
    study = _find(request.get("parent", ""), call, "parent")
    limit = _page_size(request, DEFAULT_TRIALS, MAX_TRIALS)
    found, token = _studies(call).page_trials(study, token=request.get("pageToken", ""), limit=limit)
    return _page("trials", [trial_view(trial) for trial in found], token)


def add_measurement(request: dict[str, Any], call: Call) -> dict[str, Any]:
    trial = _trial(request.get("trialName", ""), call, "trialName")
    measurement = _measurement(request.get("measurement") or {}, "measurement")
    if not measurement.metrics:
        raise InputRefused("is required", place="measurement.metrics")
    return trial_view(_studies(call).add_measurements(trial, [measurement]))


def complete_trial(request: dict[str, Any], call: Call) -> dict[str, Any]:
    trial = _trial(request.get("name", ""), call)
    final = request.get("finalMeasurement")
    infeasible = request.get("trialInfeasible", False)
    reason = request.get("infeasibleReason", "")
    if reason and not infeasible:
        raise InputRefused("is for a trial that is infeasible: set trialInfeasible", place="infeasibleReason")
    measurement = None
    # The client sends an empty measurement for none.
    if final and final.get("metrics") and not infeasible:
        measurement = _measurement(final, "finalMeasurement")
    done = _studies(call).complete(
        trial, measurement, infeasible_reason=(reason or "no reason was given") if infeasible else ""
    )
    return trial_view(done)


def delete_trial(request: dict[str, Any], call: Call) -> dict[str, Any]:
    _studies(call).delete_trial(_trial(request.get("name", ""), call))
    return {}


def check_early_stopping(request: dict[str, Any], call: Call) -> dict[str, Any]:
    trial = _trial(request.get("trialName", ""), call, "trialName")
    return {"shouldStop": True} if _studies(call).check_early_stopping(trial) else {}


def stop_trial(request: dict[str, Any], call: Call) -> dict[str, Any]:
    return trial_view(_studies(call).stop(_trial(request.get("name", ""), call)))


def list_optimal_trials(request: dict[str, Any], call: Call) -> dict[str, Any]:
    found = _studies(call).optimal_trials(_find(request.get("parent", ""), call, "parent"))
    return _page("optimalTrials", [trial_view(trial) for trial in found], "")


HANDLERS = {
    "VizierService.CreateStudy": create_study,
    "VizierService.GetStudy": get_study,
    "VizierService.ListStudies": list_studies,
    "VizierService.LookupStudy": lookup_study,
    "VizierService.DeleteStudy": delete_study,
    "VizierService.SuggestTrials": suggest_trials,
    "VizierService.CreateTrial": create_trial,
    "VizierService.GetTrial": get_trial,
    "VizierService.ListTrials": list_trials,
    "VizierService.AddTrialMeasurement": add_measurement,
    "VizierService.CompleteTrial": complete_trial,
    "VizierService.DeleteTrial": delete_trial,
    "VizierService.CheckTrialEarlyStoppingState": check_early_stopping,
    "VizierService.StopTrial": stop_trial,
    "VizierService.ListOptimalTrials": list_optimal_trials,
}


def _studies(call: Call) -> StudyService:
    return call.context.cairn.studies


def _find(name: str, call: Call, field: str = "name") -> Study:
    place, id_ = resource(name, "studies", field)
    return _studies(call).get(id_, project=place.project, location=place.location)


def _trial(name: str, call: Call, field: str = "name") -> Trial:
    study, _, rest = name.partition("/trials/")
    if not rest or "/" in rest:
        wanted = "projects/PROJECT/locations/LOCATION/studies/STUDY/trials/TRIAL"
        raise InputRefused(f"{name[:200]!r} is no name of this kind: {wanted}", place=field)
    return _studies(call).trial(_find(study, call, field), rest)


def _parameters(message: Mapping[str, Any], place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for index, one in enumerate(message.get("parameters") or ()):
        name = one.get("parameterId", "")
        if not name or name in found:
            refusal = "is there twice" if name else "is required"
            raise InputRefused(refusal, place=f"{place}.parameters[{index}].parameterId")
        found[name] = one.get("value")
    return found


def _measurement(message: Mapping[str, Any], place: str) -> Measurement:
    """Metrics without a name are passed over: the client adds one to every measurement."""
    metrics = {
        one["metricId"]: float(one.get("value", 0.0)) for one in message.get("metrics") or () if "metricId" in one
    }
    step, elapsed = int(message.get("stepCount", 0)), message.get("elapsedDuration")
    if step < 0:
        raise InputRefused(f"{step} is negative", place=f"{place}.stepCount")
    return Measurement(metrics, step, duration(elapsed, f"{place}.elapsedDuration") if elapsed else 0)


def _view(study: Study) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{Place(study.project, study.location)}/studies/{study.id}",
        "displayName": study.display_name,
        "studySpec": study.message,
        "state": str(study.state),
    }
    put(found, createTime=study.create_time)
    # "This should be empty if a study is ACTIVE or COMPLETED."
    if study.reason and study.state == "INACTIVE":
        found["inactiveReason"] = study.reason
    return found


def _page_size(request: Mapping[str, Any], default: int, most: int) -> int:
    size: int = request.get("pageSize", 0)
    if size < 0:
        raise InputRefused("a page has at least one entry", place="pageSize")
    return min(size or default, most)


def _page(field: str, found: list[dict[str, Any]], token: str) -> dict[str, Any]:
    answer: dict[str, Any] = {field: found} if found else {}
    return {**answer, "nextPageToken": token} if token else answer
