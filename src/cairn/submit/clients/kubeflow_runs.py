"""Submits to a server of Kubeflow Pipelines by kfp. `python kubeflow_runs.py REQUEST.json`.

Standard library and that package only, Python 3.9 or newer.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from typing import Any

from telling import (  # type: ignore[import-not-found]  # found beside this program
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Refusal,
    Teller,
    check_reachable,
    main,
    sentence,
    watch,
)

_ENDS = {"SUCCEEDED": SUCCEEDED, "FAILED": FAILED, "CANCELED": CANCELLED, "SKIPPED": SUCCEEDED, "ERROR": FAILED}


def work(teller: Teller, request: dict[str, Any]) -> None:
    check_reachable(request["url"], request.get("authority", ""), path="/apis/v2beta1/healthz")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import kfp

    if not request.get("traceback"):
        logging.disable(logging.ERROR)  # it logs the trace of each try
    client = _client(kfp, request)
    experiment = client.create_experiment(
        request.get("experiment") or "Default", namespace=request.get("namespace") or None
    )
    _named(experiment.experiment_id, request)
    if request.get("schedule"):
        _recurring_run(teller, request, client, experiment.experiment_id)
        return
    models = client.api_models
    asked = models.V2beta1Run(
        experiment_id=experiment.experiment_id,
        display_name=request["display_name"],
        description=request.get("description") or None,
        pipeline_spec=_package(request),
        runtime_config=_runtime(request, models),
        service_account=request.get("service_account") or None,
    )
    run = _method(client.runs, "create_run", "run_service_create_run")(asked)
    teller.say("submitted", name=_named(run.run_id, request), id=run.run_id, state=_state(run.state))
    if request.get("watch"):
        watch(teller, request, lambda: _look(client, run.run_id), worded)


def worded(error: BaseException) -> Refusal:
    """An error of the client's in one sentence, with what to do."""
    from urllib3.exceptions import HTTPError

    status = getattr(error, "status", None)
    if isinstance(status, int):
        return _answered(status, _told(error))
    said = sentence(str(error))
    if isinstance(error, (HTTPError, OSError)):
        return Refusal("the network does not lead there: " + said, "check the network, and try again", passing=True)
    return Refusal(f"{type(error).__name__}: {said}", "--traceback shows where it came from")


def _answered(status: int, said: str) -> Refusal:
    """By its HTTP status; 0 where there was none."""
    if status == 401:
        return Refusal("who asks is not known: " + said, "give --credentials FILE with a token", status=2)
    if status == 403:
        return Refusal("who asks may not do this: " + said, "check --namespace, and whose token it is", status=2)
    if status == 404:
        return Refusal("it is not there: " + said, "check --host: it is the API's address, without a path", status=2)
    if status == 429:
        return Refusal("it is asked too often: " + said, "try again later", passing=True)
    if 400 <= status < 500:
        return Refusal("it was refused: " + said, status=2)
    return Refusal("the server cannot answer at the moment: " + said, "try again", passing=True)


def _told(error: BaseException) -> str:
    """The message in the answer's body, where it has one."""
    body = getattr(error, "body", None) or ""
    try:
        found = json.loads(body)
    except ValueError:
        return str(sentence(str(body or getattr(error, "reason", "") or error)))
    if isinstance(found, dict):
        nested = found.get("error")
        message = found.get("message") or (nested.get("message") if isinstance(nested, dict) else nested)
        return str(sentence(str(message or body)))
    return str(sentence(str(body)))


def _client(kfp: Any, request: dict[str, Any]) -> Any:
    more: dict[str, Any] = {}
    if request.get("credentials"):
        with open(request["credentials"], encoding="utf-8") as file:
            more["existing_token"] = file.read().strip()
    if request.get("authority"):
        more["ssl_ca_cert"] = request["authority"]
    if request.get("namespace"):
        more["namespace"] = request["namespace"]
    try:
        return kfp.Client(host=request["url"], **more)
    except TimeoutError as error:  # what it comes to when each of its questions was refused
        if isinstance(error.__context__, Exception) and hasattr(error.__context__, "status"):
            raise error.__context__ from None
        raise


def _method(api: Any, *names: str) -> Any:
    """Of kfp-server-api, which has named them anew since 2.0."""
    return next(getattr(api, name) for name in names if hasattr(api, name))


def _named(name: Any, request: dict[str, Any]) -> str:
    """What was made has a name: kfp takes any page, such as one to log in, for an answer without one."""
    if isinstance(name, str) and name:
        return name
    remedy = "check --host, and give --credentials FILE with a token if it asks who you are"
    raise Refusal(f"what answers at {request['url']} is no API of Kubeflow Pipelines", remedy)


def _package(request: dict[str, Any]) -> dict[str, Any]:
    if request.get("platform"):
        return {"pipeline_spec": request["pipeline"], "platform_spec": request["platform"]}
    pipeline: dict[str, Any] = request["pipeline"]
    return pipeline


def _runtime(request: dict[str, Any], models: Any) -> Any:
    return models.V2beta1RuntimeConfig(
        parameters=request.get("parameters") or {}, pipeline_root=request.get("root") or None
    )


def _recurring_run(teller: Teller, request: dict[str, Any], client: Any, experiment: str) -> None:
    said = request["schedule"]
    models = client.api_models
    between = {"start_time": said.get("start") or None, "end_time": said.get("end") or None}
    if said.get("cron"):
        trigger = models.V2beta1Trigger(cron_schedule=models.V2beta1CronSchedule(cron=said["cron"], **between))
    else:
        every = models.V2beta1PeriodicSchedule(interval_second=said["interval_seconds"], **between)
        trigger = models.V2beta1Trigger(periodic_schedule=every)
    mode = models.RecurringRunMode
    asked = models.V2beta1RecurringRun(
        experiment_id=experiment,
        display_name=said.get("name") or request["display_name"],
        description=request.get("description") or None,
        mode=mode.DISABLE if said.get("paused") else mode.ENABLE,
        pipeline_spec=_package(request),
        runtime_config=_runtime(request, models),
        trigger=trigger,
        max_concurrency=said.get("max_concurrent", 1),
        no_catchup=not said.get("catch_up"),
        service_account=request.get("service_account") or None,
    )
    create = _method(client.recurring_runs, "create_recurring_run", "recurring_run_service_create_recurring_run")
    made = create(asked)
    state = "PAUSED" if said.get("paused") else "ACTIVE"
    teller.say("submitted", name=_named(made.recurring_run_id, request), id=made.recurring_run_id, state=state)


def _state(state: Any) -> str:
    return str(_ENDS.get(str(state), state or "PENDING"))


def _look(client: Any, run_id: str) -> tuple[str, dict[str, str], str]:
    run = client.get_run(run_id)
    details = (run.run_details.task_details or []) if run.run_details else []
    tasks = {one.display_name: str(one.state) for one in details if one.display_name and one.display_name != "root"}
    said = getattr(run.error, "message", "") or ""
    return _state(run.state), tasks, sentence(said)


if __name__ == "__main__":
    sys.path[:1] = []  # `telling` is loaded; nothing else is to be found here
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    main(work, worded)
