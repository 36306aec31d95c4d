"""`kubernetes.CreatePVC` and `kubernetes.DeletePVC`: a persistent volume claim is a local directory here.

kfp.kubernetes compiles them to containers whose images do not exist: KFP's driver knows them by name and starts no
process, and so do we (kubeflow/pipelines `backend/src/v2/driver/k8s.go`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cairn.domain.runs import Run, TaskInputs, TaskOutputs
from cairn.domain.values import Value
from cairn.engine.ports import Secrets
from cairn.errors import StepError
from cairn.spec.types import ComponentSpec, ContainerSpec

_CREATE = "argostub/createpvc"
_DELETE = "argostub/deletepvc"


def is_claim(component: ComponentSpec) -> bool:
    """Whether the component is one of the two: it needs no environment and no process."""
    return isinstance(component.executor, ContainerSpec) and component.executor.image in (_CREATE, _DELETE)


def settle_claim(component: ComponentSpec, inputs: TaskInputs, run: Run, volumes: Secrets) -> TaskOutputs:
    """Make the claim's directory or remove it with all it holds. Doing it twice is as good as once.

    Raises StepError for a claim that a directory cannot stand for, InputRefused for a name that is none.
    """
    given = inputs.parameters
    if isinstance(component.executor, ContainerSpec) and component.executor.image == _DELETE:
        volumes.delete_volume(_text(given, "pvc_name"))
        return TaskOutputs()
    for name, what in (("data_source", "a data source"), ("volume_name", "an existing persistent volume")):
        if given.get(name):
            raise StepError(f"a claim made from {what} has no meaning on this machine: {given[name]!r}")
    name = _text(given, "pvc_name") or (
        f"{run.uid}{_text(given, 'pvc_name_suffix')}" if given.get("pvc_name_suffix") else ""
    )
    if not name:
        raise StepError("the claim has neither pvc_name nor pvc_name_suffix")
    volumes.volume_directory(name)
    return TaskOutputs({"name": name})


def claim_warnings(inputs: TaskInputs) -> list[str]:
    """What was asked of the claim that a directory does not have."""
    asked = {"storage_class_name": "the storage class", "annotations": "annotations of a claim"}
    return [f"{what}: no effect on this machine" for name, what in asked.items() if inputs.parameters.get(name)]


def _text(given: Mapping[str, Value], name: str) -> str:
    value = given.get(name)
    return value if isinstance(value, str) else ""
