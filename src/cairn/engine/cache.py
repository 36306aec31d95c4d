"""What a result depends on: the parts of a cache key, and the words for why it was a miss."""

from __future__ import annotations

import msgspec
import xxhash

from cairn.domain.artifacts import Artifact
from cairn.domain.runs import TaskInputs
from cairn.domain.values import Value
from cairn.engine.ports import CacheEntry
from cairn.spec.types import ComponentSpec, ContainerSpec, NativeSpec

# SHA-256 of the programs that Cairn itself has put into commands, and what they are to a result: every text of one
# protocol gives the same, so an upgrade of Cairn keeps it. A text that is not listed counts as it is: none is forged.
CARRIED = {
    "4acde769ef1667915d2b2ff526574a41e10f3c1edd9a34feb032b89c30d4117a": "cairn.hydra, protocol 1",
}

_encoder = msgspec.json.Encoder(order="deterministic")


def digest(value: object) -> str:
    """xxh3-128 of the value's JSON, keys sorted."""
    return xxhash.xxh3_128_hexdigest(_encoder.encode(value))


def component_digest(component: ComponentSpec) -> str:
    """Over the command before placeholders are resolved, the image, the environment and the interface.

    What a step asks of the machine is left out: more memory does not change a result.
    """
    executor = component.executor
    container = executor.container if isinstance(executor, NativeSpec) else executor
    assert isinstance(container, ContainerSpec)
    interface = (
        {name: spec.type for name, spec in component.input_parameters.items()},
        {name: spec.type for name, spec in component.input_artifacts.items()},
        {name: spec.type for name, spec in component.output_parameters.items()},
        {name: (spec.type, spec.is_list) for name, spec in component.output_artifacts.items()},
    )
    parts = (container.image, _told_apart(container.command), container.args, container.env, interface)
    return digest((*parts, component.platform, *_of_job(container)))


def _of_job(container: ContainerSpec) -> tuple[object, ...]:
    """Of a custom job: who its replicas are, what they run, and where they put it."""
    job = container.job
    if job is None:
        return ()
    pools = [
        (pool.index, pool.replicas, each.image, _told_apart(each.command), each.args, each.env)
        for pool, each in ((pool, pool.container) for pool in job.pools)
    ]
    return (pools, job.base_output_directory)


def _told_apart(command: tuple[str, ...]) -> tuple[object, ...]:
    """With a program of Cairn's own by its protocol, in a list, which no word of a command is."""
    if command[:2] != ("python3", "-c") or len(command) != 3:
        return command
    import hashlib  # OpenSSL's start is a hundredth of a run's time: only for a command that may be ours

    carried = hashlib.sha256(command[2].encode(errors="surrogatepass")).hexdigest()
    return (*command[:2], [CARRIED[carried]]) if carried in CARRIED else command


def cache_parts(static: dict[str, str], inputs: TaskInputs, user_key: str) -> dict[str, str]:
    """`static` holds the parts that are the same for every instance of the component."""
    parts = dict(static)
    for name, value in inputs.parameters.items():
        parts[f"parameter:{name}"] = _literal(value)
    for name, artifacts in inputs.artifacts.items():
        parts[f"artifact:{name}"] = ",".join(_artifact(artifact) for artifact in artifacts)
    if user_key:
        parts["cache key"] = user_key
    return parts


def _literal(value: Value) -> str:
    text = _encoder.encode(value)
    return (
        text.decode() if len(text) <= 120 else f"{text[:40].decode(errors='ignore')}… {xxhash.xxh3_128_hexdigest(text)}"
    )


def _artifact(artifact: Artifact) -> str:
    metadata = digest(artifact.metadata) if artifact.metadata else ""
    content = artifact.fingerprint.digest if artifact.fingerprint else artifact.uri
    return f"{content}#{metadata}" if metadata else content


def key_of(parts: dict[str, str]) -> str:
    return digest(parts)


def explain(parts: dict[str, str], nearest: CacheEntry | None, run_name: str = "") -> str:
    """In words, why there was no hit: what differs from the nearest earlier result of the same component."""
    if nearest is None:
        return "no earlier result of this component in this pipeline"
    differences = []
    for name in sorted(parts.keys() | nearest.parts.keys()):
        before, now = nearest.parts.get(name), parts.get(name)
        if before == now:
            continue
        if before is None:
            differences.append(f"{name} is new ({_shorten(now)})")
        elif now is None:
            differences.append(f"{name} is gone (was {_shorten(before)})")
        else:
            differences.append(f"{name} was {_shorten(before)}, is {_shorten(now)}")
    where = f"{nearest.path} of run {run_name or nearest.run_uid}"
    if not differences:
        return f"the result of {where} had the same key but could not be taken: its artifacts have changed or are gone"
    return f"compared with {where}: " + "; ".join(differences)


def _shorten(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= 60 else text[:57] + "…"
