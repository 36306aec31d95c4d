"""ExperimentService of KFP v2beta1. Source: kubeflow/pipelines backend/api/v2beta1/experiment.proto."""

from __future__ import annotations

from typing import Any

from cairn.api.http import Call, Reply
from cairn.api.kfp import messages, scoping
from cairn.api.kfp.lists import list_query
from cairn.api.kfp.messages import TEXT, WORD, body_of, moment
from cairn.experiments.types import Experiment
from cairn.filters.listing import Listing

_EXPERIMENT: messages.Fields = {
    "experiment_id": TEXT,
    "display_name": TEXT,
    "description": TEXT,
    "created_at": TEXT,
    "namespace": TEXT,
    "storage_state": WORD,
    "last_run_created_at": TEXT,
}
_NAMES = {
    "id": "id",
    "experiment_id": "id",
    "name": "display_name",
    "display_name": "display_name",
    "created_at": "create_time",
    "storage_state": "state",
}


def create(call: Call) -> Reply:
    """The experiment of this name, made if there is none."""
    asked = body_of(call, _EXPERIMENT)
    project = scoping.writable(call, asked.get("namespace", ""))
    wanted = Experiment(
        "", asked.get("display_name", ""), asked.get("description", ""), project, owner=call.identity.name
    )
    return messages.reply(_told(call, [call.context.cairn.experiments.create(wanted)])[0])


def get(call: Call) -> Reply:
    return messages.reply(_told(call, [readable(call, call.variables["experiment_id"])])[0])


def list_(call: Call) -> Reply:
    query = list_query(call, _NAMES, scope="experiments")
    projects = frozenset((scoping.home(call, call.first("namespace")),))
    listing = Listing(projects, query.where, query.orders, query.query, query.token, query.limit)
    found, token, count = call.context.cairn.experiments.experiments(listing)
    return messages.reply({"experiments": _told(call, found), "total_size": count, "next_page_token": token})


def archive(call: Call) -> Reply:
    found = writable(call, call.variables["experiment_id"])
    call.context.cairn.experiments.archive(found.id)
    return messages.empty()


def unarchive(call: Call) -> Reply:
    found = writable(call, call.variables["experiment_id"])
    call.context.cairn.experiments.unarchive(found.id)
    return messages.empty()


def delete(call: Call) -> Reply:
    found = writable(call, call.variables["experiment_id"])
    call.context.cairn.experiments.delete(found.id)
    return messages.empty()


def readable(call: Call, id_: str) -> Experiment:
    """Raises NotFound."""
    return scoping.seen(call, lambda: call.context.cairn.experiments.experiment(id_), "experiment", id_)


def writable(call: Call, id_: str) -> Experiment:
    """Raises NotFound, PermissionDenied."""
    return scoping.changed(call, lambda: call.context.cairn.experiments.experiment(id_), "experiment", id_)


def _told(call: Call, experiments: list[Experiment]) -> list[dict[str, Any]]:
    last = call.context.cairn.experiments.last_runs(experiments)
    return [_object(one, last.get(one.id, 0)) for one in experiments]


def _object(experiment: Experiment, last_run: int) -> dict[str, Any]:
    found = {
        "experiment_id": experiment.id,
        "display_name": experiment.name,
        "description": experiment.description,
        "created_at": moment(experiment.create_time),
        "namespace": experiment.project,
        "storage_state": "ARCHIVED" if experiment.archived else "AVAILABLE",
    }
    return messages.filled({**found, "last_run_created_at": moment(last_run) if last_run else ""})
