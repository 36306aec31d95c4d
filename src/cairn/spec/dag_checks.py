"""A DAG: that its tasks get what they need from where it exists, wait in no circle, and give the outputs declared."""

from __future__ import annotations

from collections.abc import Mapping

from cairn.domain.values import ParameterType
from cairn.errors import SpecError
from cairn.spec.coercion import compatible
from cairn.spec.executor_checks import is_injected, placeholders_at
from cairn.spec.platform import sources
from cairn.spec.reader import Bad, nearest, shown
from cairn.spec.types import (
    ArtifactBinding,
    ArtifactIterator,
    ComponentInput,
    ComponentSpec,
    Constant,
    DagSpec,
    FinalStatus,
    ParameterBinding,
    ParameterIterator,
    TaskOutput,
    TaskSpec,
)


class DagChecks:
    def __init__(
        self,
        component: ComponentSpec,
        dag: DagSpec,
        components: Mapping[str, ComponentSpec],
        needed: Mapping[str, frozenset[str]],
        items: frozenset[tuple[str, str]],
        iterated: bool,
    ) -> None:
        self.component = component
        self.dag = dag
        self.components = components
        self.needed = needed
        self.items = items
        self.iterated = iterated

    def check(self) -> None:
        for name, task in self.dag.tasks.items():
            try:
                self._task(task)
            except Bad as bad:
                raise bad.at("dag", "tasks", name) from None
        self._cycles()
        self._outputs()

    def _task(self, task: TaskSpec) -> None:
        component = self.components[task.component]
        for name in task.upstream:
            if name not in self.dag.tasks:
                place = ("dependentTasks",) if not _reads(task, name) else ("inputs", *_reads(task, name))
                raise Bad(f"there is no task {shown(name)} beside it{nearest(name, self.dag.tasks)}", *place)
        self._iterator(task, component)
        self._parameters(task, component)
        self._artifacts(task, component)
        if task.condition:
            self._condition(task)
        for source in sources(component.platform):
            self._source(task, source)

    def _parameters(self, task: TaskSpec, component: ComponentSpec) -> None:
        declared = component.input_parameters
        for name, binding in task.parameters.items():
            place = ("inputs", "parameters", name)
            if name not in declared and not (component.dag is None and is_injected(name)):
                if name in component.input_artifacts:
                    raise Bad(f"is an artifact of component {component.name}, not a parameter", *place)
                raise Bad(f"component {component.name} has no such input{nearest(name, declared)}", *place)
            wanted = declared[name].type if name in declared else None
            try:
                produced = self._produced(task, binding)
            except Bad as bad:
                raise bad.at(*place) from None
            if wanted and produced and not binding.selector and not compatible(produced, wanted):
                raise Bad(f"{produced} is given where component {component.name} wants {wanted}", *place)
        given = {*task.parameters, task.iterator.item_input if task.iterator else ""}
        for name, parameter in declared.items():
            if name not in given and not parameter.optional and parameter.type is not ParameterType.TASK_CONFIG:
                raise Bad(f"component {component.name} needs the input {shown(name)}", "inputs", "parameters")
        for name in sorted(self.needed.get(component.name, ())):
            if name not in given:
                raise Bad(
                    f"the executor of component {component.name} uses {shown(name)}, which this task is not given",
                    "inputs",
                    "parameters",
                )

    def _produced(self, task: TaskSpec, binding: ParameterBinding) -> ParameterType | None:
        """The type that the binding gives; None where that is known at run time only."""
        match binding:
            case Constant():
                self._constant(task, binding)
                return None
            case ComponentInput(name):
                if name not in self.component.input_parameters:
                    if name in self.component.input_artifacts:
                        raise Bad(f"{shown(name)} is an artifact, not a parameter", "componentInputParameter")
                    raise Bad(
                        f"{self._here()} has no input parameter {shown(name)}"
                        f"{nearest(name, self.component.input_parameters)}",
                        "componentInputParameter",
                    )
                # The compiler declares an item of unknown type as text.
                return None if (self.component.name, name) in self.items else self.component.input_parameters[name].type
            case TaskOutput(producer, key):
                made = self._component_of(producer)
                if key not in made.output_parameters:
                    place = ("taskOutputParameter", "outputParameterKey")
                    if key in made.output_artifacts:
                        raise Bad(f"{shown(key)} of task {producer} is an artifact, not a parameter", *place)
                    raise Bad(
                        f"task {producer} puts out no parameter {shown(key)}{nearest(key, made.output_parameters)}",
                        *place,
                    )
                return made.output_parameters[key].type
            case FinalStatus(producer):
                self._component_of(producer)
                return ParameterType.TASK_FINAL_STATUS

    def _constant(self, task: TaskSpec, binding: Constant) -> None:
        for placeholder in placeholders_at(binding.value, "runtimeValue", "constant"):
            if placeholder.kind == "inputs.parameters" and placeholder.name not in task.parameters:
                raise Bad(
                    f"{placeholder.text} names an input that the task is not given"
                    f"{nearest(placeholder.name, task.parameters)}",
                    "runtimeValue",
                    "constant",
                )
            if placeholder.kind.startswith("outputs.") or placeholder.kind in ("inputs.artifacts", "output_file"):
                raise Bad(f"{placeholder.text} has no meaning in a task's input", "runtimeValue", "constant")

    def _here(self) -> str:
        return "the pipeline" if self.component.name == "root" else f"component {self.component.name}"

    def _component_of(self, task: str) -> ComponentSpec:
        if task not in self.dag.tasks:
            raise Bad(f"there is no task {shown(task)} beside it{nearest(task, self.dag.tasks)}")
        return self.components[self.dag.tasks[task].component]

    def _artifacts(self, task: TaskSpec, component: ComponentSpec) -> None:
        declared = component.input_artifacts
        for name, binding in task.artifacts.items():
            place = ("inputs", "artifacts", name)
            if name not in declared:
                if name in component.input_parameters:
                    raise Bad(f"is a parameter of component {component.name}, not an artifact", *place)
                raise Bad(f"component {component.name} has no such input{nearest(name, declared)}", *place)
            try:
                self._artifact(binding)
            except Bad as bad:
                raise bad.at(*place) from None
        given = {*task.artifacts, task.iterator.item_input if task.iterator else ""}
        for name, artifact in declared.items():
            if name not in given and not artifact.optional:
                raise Bad(f"component {component.name} needs the input {shown(name)}", "inputs", "artifacts")

    def _artifact(self, binding: ArtifactBinding) -> None:
        if isinstance(binding, ComponentInput):
            known, name = self.component.input_artifacts, binding.name
            if name in known:
                return
            if name in self.component.input_parameters:
                raise Bad(f"{shown(name)} is a parameter, not an artifact", "componentInputArtifact")
            raise Bad(
                f"{self._here()} has no input artifact {shown(name)}{nearest(name, known)}", "componentInputArtifact"
            )
        made, key = self._component_of(binding.producer), binding.key
        if key in made.output_artifacts:
            return
        place = ("taskOutputArtifact", "outputArtifactKey")
        if key in made.output_parameters:
            raise Bad(f"{shown(key)} of task {binding.producer} is a parameter, not an artifact", *place)
        raise Bad(
            f"task {binding.producer} puts out no artifact {shown(key)}{nearest(key, made.output_artifacts)}", *place
        )

    def _iterator(self, task: TaskSpec, component: ComponentSpec) -> None:
        iterator = task.iterator
        if iterator is None:
            return
        if isinstance(iterator, ArtifactIterator):
            place, known, given = "artifactIterator", component.input_artifacts, task.artifacts
            input_field = "inputArtifact"
        else:
            place, known, given = "parameterIterator", component.input_parameters, task.parameters  # type: ignore[assignment]
            input_field = "inputParameter"
        if iterator.item_input not in known:
            raise Bad(
                f"component {component.name} has no input {shown(iterator.item_input)}"
                f"{nearest(iterator.item_input, known)}",
                place,
                "itemInput",
            )
        if isinstance(iterator, ParameterIterator) and iterator.raw is not None:
            return
        if iterator.input_name not in given:
            raise Bad(
                f"the task is given no input {shown(iterator.input_name)}{nearest(iterator.input_name, given)}",
                place,
                "items",
                input_field,
            )

    def _condition(self, task: TaskSpec) -> None:
        from cairn.spec.conditions import check_condition

        try:
            check_condition(task.condition, task.parameters)
        except SpecError as error:
            raise Bad(error.message, "triggerPolicy", "condition", remedy=error.remedy) from None

    def _source(self, task: TaskSpec, source: ParameterBinding) -> None:
        """A name in the platform configuration, which is resolved beside the task's own inputs."""
        if isinstance(source, ComponentInput):
            if source.name in task.parameters or source.name in self.component.input_parameters:
                return
            raise Bad(
                f"its platform configuration takes a name from {shown(source.name)}, which {self._here()} does not have"
                f"{nearest(source.name, self.component.input_parameters)}"
            )
        if isinstance(source, TaskOutput):
            self._produced(task, source)

    def _cycles(self) -> None:
        """Iterative: a chain of ten thousand tasks is no reason to fail."""
        state: dict[str, int] = {}  # 1: on the trail, 2: done
        for start in self.dag.tasks:
            if start in state:
                continue
            trail, stack = [start], [iter(self.dag.tasks[start].upstream)]
            state[start] = 1
            while stack:
                following = next(stack[-1], None)
                if following is None:
                    state[trail.pop()] = 2
                    stack.pop()
                elif state.get(following) == 1:
                    circle = [*trail[trail.index(following) :], following]
                    raise Bad(
                        f"tasks wait for one another in a circle: {' → '.join(circle)}", "dag", "tasks", following
                    )
                elif following not in state:
                    state[following] = 1
                    trail.append(following)
                    stack.append(iter(self.dag.tasks[following].upstream))

    def _outputs(self) -> None:
        for name, selectors in self.dag.parameter_outputs.items():
            place = ("dag", "outputs", "parameters", name)
            declared = self.component.output_parameters.get(name)
            if declared is None and self.component.name != "root":
                raise Bad(f"{self._here()} declares no output parameter {shown(name)}", *place)
            for selector in selectors:
                made = self._selected(selector.producer, place)
                if selector.key not in made.output_parameters:
                    raise Bad(
                        f"task {selector.producer} puts out no parameter {shown(selector.key)}"
                        f"{nearest(selector.key, [*made.output_parameters, *made.output_artifacts])}",
                        *place,
                    )
                produced = made.output_parameters[selector.key].type
                # Inside a loop the compiler declares what the loop as a whole gives: a list.
                loose = self.iterated or declared is None or declared.type is ParameterType.LIST
                if declared and not loose and not compatible(produced, declared.type):
                    raise Bad(
                        f"{produced} of task {selector.producer} is given where {declared.type} is wanted", *place
                    )
        for name, artifact_selectors in self.dag.artifact_outputs.items():
            place = ("dag", "outputs", "artifacts", name)
            if name not in self.component.output_artifacts and self.component.name != "root":
                raise Bad(f"{self._here()} declares no output artifact {shown(name)}", *place)
            for selector in artifact_selectors:
                made = self._selected(selector.producer, place)
                if selector.key not in made.output_artifacts:
                    raise Bad(
                        f"task {selector.producer} puts out no artifact {shown(selector.key)}"
                        f"{nearest(selector.key, [*made.output_artifacts, *made.output_parameters])}",
                        *place,
                    )
        self._unresolved()

    def _unresolved(self) -> None:
        for kind, declared, given in (
            ("parameters", self.component.output_parameters, self.dag.parameter_outputs),
            ("artifacts", self.component.output_artifacts, self.dag.artifact_outputs),
        ):
            for name in declared:
                if name not in given:
                    raise Bad(
                        f"the output {shown(name)} is declared, and no task gives it", "outputDefinitions", kind, name
                    )

    def _selected(self, producer: str, place: tuple[str, ...]) -> ComponentSpec:
        try:
            return self._component_of(producer)
        except Bad as bad:
            raise bad.at(*place) from None


def _reads(task: TaskSpec, producer: str) -> tuple[str, ...]:
    """The input of `task` that names `producer`."""
    for kind, bindings in (("parameters", task.parameters), ("artifacts", task.artifacts)):
        for name, binding in bindings.items():
            if isinstance(binding, (TaskOutput, FinalStatus)) and binding.producer == producer:
                return (kind, name)
    return ()
