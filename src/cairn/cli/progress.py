"""What is known of a run's steps while it runs, as rows to show. Pure: records in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cairn.domain.runs import AttemptRecord, TaskRecord
from cairn.domain.states import TaskState
from cairn.engine.report import in_order
from cairn.spec.types import DagSpec, Pipeline

SHOWN_ITERATIONS = 8  # a loop with more is told as counts
_PREPARED = 500  # tasks shown before they are recorded


class Step:
    """One node of the tree: a leaf, a nested pipeline, a loop, or one iteration of a loop."""

    __slots__ = (
        "attempts", "cached", "children", "component", "counts", "directory", "end", "error", "failed", "kind",
        "label", "leaf_states", "path", "start", "state", "total",
    )  # fmt: skip

    def __init__(self, path: str, label: str, kind: str, component: str = "") -> None:
        self.path = path
        self.label = label
        self.kind = kind  # leaf | dag | loop | iteration
        self.component = component
        self.state = TaskState.PENDING
        self.start = 0
        self.end = 0
        self.attempts = 0
        self.cached = False
        self.error = ""
        self.directory = ""  # of its latest attempt
        self.children: dict[str, Step] = {}
        self.counts: dict[TaskState, int] = {}  # of an outermost loop: its leaves by state
        self.leaf_states: dict[str, TaskState] = {}
        self.total = 0  # of a loop: how many iterations it has, once its items are known
        self.failed = ""  # path of the first leaf in it that failed

    @property
    def collapsed(self) -> bool:
        return self.kind == "loop" and len(self.children) > SHOWN_ITERATIONS

    def settle(self) -> None:
        """An iteration has no record of its own: its state is what its tasks make of it."""
        inside = {child.state for child in self.children.values()}
        for state in (TaskState.FAILED, TaskState.RUNNING, TaskState.CANCELLED):
            if state in inside:
                self.state = state
                return
        if TaskState.PENDING in inside or not inside:
            self.state = TaskState.RUNNING if TaskState.SUCCEEDED in inside else TaskState.PENDING
        else:
            self.state = TaskState.SUCCEEDED if TaskState.SUCCEEDED in inside else TaskState.SKIPPED


class Row:
    """One line of the view; `depth` is how deep it is nested."""

    __slots__ = ("depth", "label", "step")

    def __init__(self, depth: int, step: Step, label: str = "") -> None:
        self.depth = depth
        self.step = step
        self.label = label or step.label


class Progress:
    """Fed with records in the order of commits; asked for rows whenever the view is drawn."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        self.roots: dict[str, Step] = {}
        self.steps: dict[str, Step] = {}
        self.counts: dict[TaskState, int] = {}  # leaves by state
        self._leaves: dict[str, TaskState] = {}
        self._room = _PREPARED
        if pipeline is not None:
            self._prepare(pipeline, pipeline.root.dag, "", self.roots)

    def task(self, record: TaskRecord) -> TaskState | None:
        """Take a record in; the state it had before, None when it is new."""
        before = self._leaves.get(record.path) if record.kind == "leaf" else self._state_of(record.path)
        if record.kind == "leaf":
            self._leaves[record.path] = record.state
            _count(self.counts, before, record.state)
        loop = self._outermost(record.path) if "[" in record.path else None
        if loop is not None and record.kind == "leaf":
            _count(loop.counts, loop.leaf_states.get(record.path), record.state)
            loop.leaf_states[record.path] = record.state
            if record.state is TaskState.FAILED and not loop.failed:
                loop.failed = record.path
        if loop is not None and self._crowded(loop, record.path):
            return before
        step = self._step(record.path, record.kind, record.name, record.component)
        step.state = record.state
        step.start, step.end = record.start_time, record.end_time
        step.attempts, step.cached, step.total = record.attempts, record.cached, record.iterations
        step.error = record.error.message if record.error else ""
        return before

    def started(self, attempt: AttemptRecord) -> None:
        """An attempt began: its directory is where the step's last line of log is read from."""
        step = self.steps.get(attempt.path)
        if step is not None:
            step.directory = attempt.directory

    def rows(self, limit: int = 0) -> list[Row]:
        """Top down; with `limit`, what matters least is left out first."""
        rows = list(_flat(self.roots.values(), 0, closed=False))
        if limit and len(rows) > limit:
            rows = list(_flat(self.roots.values(), 0, closed=True))
        return _shortened(rows, limit) if limit and len(rows) > limit else rows

    def running(self) -> list[Step]:
        return [step for step in self.steps.values() if step.state is TaskState.RUNNING and step.kind == "leaf"]

    # --- the tree ----------------------------------------------------------------------------------------------------

    def _prepare(self, pipeline: Pipeline, dag: DagSpec | None, prefix: str, into: dict[str, Step]) -> None:
        if dag is None:
            return
        for name in in_order(dag):
            task = dag.tasks[name]
            if self._room <= 0:
                return
            self._room -= 1
            path = f"{prefix}/{name}" if prefix else name
            nested = pipeline.components[task.component].dag
            kind = "loop" if task.iterator else "dag" if nested else "leaf"
            step = into[path] = self.steps[path] = Step(path, name, kind, task.component)
            if kind == "dag":
                self._prepare(pipeline, nested, path, step.children)

    def _state_of(self, path: str) -> TaskState | None:
        step = self.steps.get(path)
        return step.state if step is not None else None

    def _outermost(self, path: str) -> Step:
        return self._step(path[: path.index("[")], "loop")

    def _crowded(self, loop: Step, path: str) -> bool:
        """Whether the loop is told as counts; when it just became so, its iterations are forgotten."""
        iteration = path[: path.index("]") + 1]
        if iteration not in loop.children and len(loop.children) <= SHOWN_ITERATIONS:
            self._step(iteration, "iteration")
        if not loop.collapsed:
            return False
        if len(self.steps) > len(loop.children):
            inside = f"{loop.path}["
            self.steps = {known: step for known, step in self.steps.items() if not known.startswith(inside)}
        return True

    def _step(self, path: str, kind: str, label: str = "", component: str = "") -> Step:
        step = self.steps.get(path)
        if step is None:
            if path.endswith("]"):
                parent_path, label = path[: path.rindex("[")], path[path.rindex("[") :]
                parent: Step | None = self._step(parent_path, "loop")
            else:
                parent_path, _, name = path.rpartition("/")
                label = label or name
                parent = (
                    self._step(parent_path, "iteration" if parent_path.endswith("]") else "dag")
                    if parent_path
                    else None
                )
            step = self.steps[path] = Step(path, label, kind, component)
            (parent.children if parent is not None else self.roots)[path] = step
        return step


def _count(counts: dict[TaskState, int], before: TaskState | None, after: TaskState) -> None:
    if before is after:
        return
    if before is not None:
        counts[before] -= 1
    counts[after] = counts.get(after, 0) + 1


def _flat(steps: Iterable[Step], depth: int, *, closed: bool) -> Iterator[Row]:
    """Depth first. `closed`: what ended well is one row, however much is in it."""
    for step in steps:
        if step.kind == "iteration":
            step.settle()
            if len(step.children) == 1:  # `[0] train` in one row
                only = next(iter(step.children.values()))
                yield Row(depth, only, f"{step.label} {only.label}")
                yield from _flat(only.children.values(), depth + 1, closed=closed)
                continue
        yield Row(depth, step)
        if step.collapsed or (closed and step.state in (TaskState.SUCCEEDED, TaskState.SKIPPED)):
            continue
        if step.state is TaskState.SKIPPED:
            continue
        yield from _flat(step.children.values(), depth + 1, closed=closed)


_IMPORTANCE = {TaskState.SKIPPED: 0, TaskState.PENDING: 1, TaskState.SUCCEEDED: 2, TaskState.CANCELLED: 3}


def _shortened(rows: list[Row], limit: int) -> list[Row]:
    """Running and failed rows stay longest; of the others, the latest finished and the next to come."""
    last = len(rows)
    order = sorted(
        range(last),
        key=lambda at: (
            _IMPORTANCE.get(rows[at].step.state, 9),
            rows[at].step.end if rows[at].step.state is TaskState.SUCCEEDED else last - at,
        ),
    )
    dropped = set(order[: last - limit])
    return [row for at, row in enumerate(rows) if at not in dropped]
