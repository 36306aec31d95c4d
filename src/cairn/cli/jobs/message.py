"""From what a user says to a CustomJob message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cairn.errors import InputRefused, SpecError
from cairn.jobs.document import field


def message_in(path: str) -> dict[str, Any]:
    """A YAML or JSON file: a CustomJob, or its job spec alone, as `gcloud ai custom-jobs create --config` takes it.

    Raises InputRefused.
    """
    from cairn.spec.documents import parse_documents, read_text

    try:
        documents: list[Any] = parse_documents(read_text(path), origin=path)
    except SpecError as error:
        raise InputRefused(error.message, place=error.place, remedy=error.remedy) from None
    found = documents[0] if len(documents) == 1 else None
    if not isinstance(found, dict):
        raise InputRefused("does not hold one CustomJob", place=path, remedy="write jobSpec: {workerPoolSpecs: [...]}")
    if field(found, "jobSpec") is None and field(found, "workerPoolSpecs") is not None:
        found = {"jobSpec": found}
    if field(found, "jobSpec") is None:
        raise InputRefused("has no jobSpec", place=path, remedy="write jobSpec: {workerPoolSpecs: [...]}")
    _check_fields(found, path)
    return {"displayName": Path(path).stem, **found} if field(found, "displayName") is None else found


def _check_fields(job: dict[str, Any], path: str) -> None:
    """A misspelt field would be a job of another kind, such as one without its replicas. Raises InputRefused."""
    from cairn.spec.custom_job_fields import unknown_fields  # only a file can have one

    unknown = list(unknown_fields(job))
    if unknown:
        raise InputRefused(
            "there is no such field of a CustomJob",
            place=f"{path}: {', '.join(each.place for each in unknown)}",
            remedy=f"write {' or '.join(unknown[0].near)}" if unknown[0].near else "leave it out",
        )


def message_of_flags(image: str, command: tuple[str, ...], flags: dict[str, Any]) -> dict[str, Any]:
    """One container; of `--replicas` the first is the chief and the others are workers, as Vertex AI has them."""
    replicas = flags["replicas"]
    if replicas < 1:
        raise InputRefused("a job has at least one replica", place="--replicas")
    container: dict[str, Any] = {"imageUri": image}
    if command:
        container["command"] = list(command)
    if flags["env"]:
        container["env"] = [dict(zip(("name", "value"), parse_variable(text), strict=True)) for text in flags["env"]]
    machine = {"machineType": flags["machine_type"]} if flags["machine_type"] else {}
    if flags["accelerator"]:
        kind, _, count = flags["accelerator"].partition(":")
        if count and not count.isdigit():
            raise InputRefused(f"{count!r} is no count", place="--accelerator", remedy="write TYPE:COUNT")
        machine |= {"acceleratorType": kind, "acceleratorCount": int(count or 1)}
    pool = {"containerSpec": container, **({"machineSpec": machine} if machine else {})}
    pools = [{**pool, "replicaCount": 1}, *([{**pool, "replicaCount": replicas - 1}] if replicas > 1 else [])]
    return {
        "displayName": image.rpartition("/")[2].partition("@")[0].partition(":")[0] or "job",
        "jobSpec": {"workerPoolSpecs": pools},
    }


def with_flags(message: dict[str, Any], flags: dict[str, Any]) -> dict[str, Any]:
    """What is said of a job whichever way it came: its name, its output directory, its time."""
    from cairn.cli.words import parse_duration

    spec = dict(field(message, "jobSpec"))
    if flags["base_output_dir"]:
        spec.pop("base_output_directory", None)
        spec["baseOutputDirectory"] = {"outputUriPrefix": flags["base_output_dir"]}
    if flags["timeout"]:
        scheduling = dict(field(spec, "scheduling") or {})
        scheduling["timeout"] = f"{parse_duration(flags['timeout'], '--timeout')}s"
        spec["scheduling"] = scheduling
    found = {name: value for name, value in message.items() if name not in ("jobSpec", "job_spec")}
    if flags["display_name"]:
        found.pop("display_name", None)
        found["displayName"] = flags["display_name"]
    return {**found, "jobSpec": spec}


def parse_variable(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise InputRefused(f"{text!r} is no variable", place="--env", remedy="write --env NAME=VALUE")
    return name, value
