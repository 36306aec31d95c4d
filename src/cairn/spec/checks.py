"""What must hold between the parts of a pipeline, checked once when it is read so that nothing starts that cannot end.

The engine relies on every one of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cairn.spec.dag_checks import DagChecks
from cairn.spec.executor_checks import check_executor
from cairn.spec.reader import Bad, nearest, shown
from cairn.spec.types import ComponentInput, ComponentSpec

MAX_CONDITIONS = 500  # compiling one takes milliseconds


def check_pipeline(root: ComponentSpec, components: Mapping[str, ComponentSpec], labels: Mapping[str, str]) -> None:
    """`labels` are the executor labels of components, for places. Raises Bad with the path inside the document."""
    everything: dict[tuple[str, ...], ComponentSpec] = {("root",): root}
    everything.update({("components", name): found for name, found in components.items()})
    for place, component in everything.items():
        try:
            _check_components(component, components)
        except Bad as bad:
            raise bad.at(*place) from None
    _check_recursion(root, components)
    iterated = _iterated_components([root, *components.values()])
    items = _loop_items(root, components)
    conditions = sum(
        bool(task.condition)
        for component in everything.values()
        if component.dag is not None
        for task in component.dag.tasks.values()
    )
    if conditions > MAX_CONDITIONS:
        raise Bad(f"there are {conditions} conditions; {MAX_CONDITIONS} are the most")
    needed: dict[str, frozenset[str]] = {}
    for component in everything.values():
        if component.dag is None:
            try:
                needed[component.name] = check_executor(component)
            except Bad as bad:
                raise bad.at("deploymentSpec", "executors", labels.get(component.name, "")) from None
    for place, component in everything.items():
        if component.dag is not None:
            try:
                DagChecks(component, component.dag, components, needed, items, component.name in iterated).check()
            except Bad as bad:
                raise bad.at(*place) from None


def _check_components(component: ComponentSpec, components: Mapping[str, ComponentSpec]) -> None:
    for name, task in component.dag.tasks.items() if component.dag is not None else ():
        if task.component not in components:
            raise Bad(
                f"there is no component {shown(task.component)}{nearest(task.component, components)}",
                *("dag", "tasks", name, "componentRef", "name"),
            )


def _iterated_components(found: Iterable[ComponentSpec]) -> frozenset[str]:
    return frozenset(
        task.component
        for component in found
        if component.dag is not None
        for task in component.dag.tasks.values()
        if task.iterator is not None
    )


def _loop_items(root: ComponentSpec, components: Mapping[str, ComponentSpec]) -> frozenset[tuple[str, str]]:
    """(component, input) that get a loop's item, in it and handed down: what they hold is known at run time only."""
    dags = [component for component in (root, *components.values()) if component.dag is not None]
    found = {
        (task.component, task.iterator.item_input)
        for component in dags
        for task in component.dag.tasks.values()  # type: ignore[union-attr]
        if task.iterator is not None
    }
    waiting = list(found)
    while waiting:
        component, name = waiting.pop()
        dag = components[component].dag if component in components else None
        for task in dag.tasks.values() if dag is not None else ():
            for key, binding in task.parameters.items():
                if isinstance(binding, ComponentInput) and binding.name == name and (task.component, key) not in found:
                    found.add((task.component, key))
                    waiting.append((task.component, key))
    return frozenset(found)


def _check_recursion(root: ComponentSpec, components: Mapping[str, ComponentSpec]) -> None:
    """Components used by themselves. Iterative: the document decides how deep it goes."""
    done: set[str] = set()
    trail: list[str] = []
    stack = [(root.name, iter(_used(root)))]
    trail.append(root.name)
    while stack:
        name, following = stack[-1]
        child = next(following, None)
        if child is None:
            stack.pop()
            trail.pop()
            done.add(name)
        elif child in trail[1:]:
            circle = [*trail[trail.index(child, 1) :], child]
            raise Bad(f"components use one another in a circle: {' → '.join(circle)}", "components", child)
        elif child not in done:
            if len(stack) > 100:
                raise Bad("pipelines are nested deeper than 100 levels", "components", child)
            trail.append(child)
            stack.append((child, iter(_used(components[child]))))


def _used(component: ComponentSpec) -> list[str]:
    return [] if component.dag is None else list(dict.fromkeys(t.component for t in component.dag.tasks.values()))
