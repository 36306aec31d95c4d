"""StudyService: studies and their trials made, decided on, measured, completed, deleted.

Each decision is one transaction. It writes the study's course besides what it decides, fenced by the course's etag: of
two processes that decide at the same time the second one finds out, and decides again knowing of the first.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from cairn.domain.clock import Clock
from cairn.domain.documents import Document
from cairn.domain.runs import DEFAULT_LOCATION, DEFAULT_PROJECT
from cairn.errors import AlreadyExists, Conflict, InputRefused, NotFound, RecordsBusy, WrongState
from cairn.filters.tree import Filter, Order
from cairn.tuning import selection, stopping
from cairn.tuning.deciding import Decision, decide
from cairn.tuning.documents import course_document, study_document, study_of, trial_document, trial_of
from cairn.tuning.memory import Memory
from cairn.tuning.parameters import check_values
from cairn.tuning.sampling import name_of
from cairn.tuning.study_spec import parse, warnings_of
from cairn.tuning.types import (
    COURSE,
    KIND,
    TRIAL,
    Course,
    Measurement,
    Study,
    StudyRecords,
    StudySpec,
    StudyState,
    Suggestions,
    Trial,
    TrialState,
    Value,
)

T = TypeVar("T")

MAX_SUGGESTIONS = 1000  # at once
_TRIES = 50  # of a change that meets another one
_KEPT = 16  # studies that are kept in memory
_NAMED = "name/"  # before the display name, as the request that makes a study under its name


class StudyService:
    """Threads: any."""

    def __init__(self, records: StudyRecords, clock: Clock) -> None:
        self.records = records
        self.clock = clock
        self._lock = threading.Lock()
        self._memories: OrderedDict[tuple[str, str, str], Memory] = OrderedDict()

    # --- studies -----------------------------------------------------------------------------------------------------

    def create(self, study: Study) -> Study:
        """Record it. One with a `request_id` that is known is given back as it is; without one, its display name is its
        own in (project, location), as Vizier has it.

        Raises InputRefused with the place, and AlreadyExists for a name that a study of another specification has. With
        the same one it is given back: over REST the client's `create_or_load` does not see what a refusal says.
        """
        spec = parse(study.message)
        if not study.display_name and not study.request_id:
            raise InputRefused("is required", place="study.displayName")
        now = self.clock.now()
        named = "" if study.request_id else _NAMED + study.display_name
        study = msgspec.structs.replace(
            study,
            id=study.id or str(secrets.randbelow(9 * 10**18) + 10**18),
            request_id=study.request_id or named,
            algorithm=name_of(spec),
            warnings=(*study.warnings, *warnings_of(spec)),
            create_time=now,
            update_time=now,
        )
        made = study_of(self.records.create_document(study_document(study)))
        if named and made.id != study.id and made.message != study.message:
            raise AlreadyExists(f"there is a study {study.display_name!r} already", remedy="look it up by its name")
        return made

    def get(self, id_: str, *, project: str = DEFAULT_PROJECT, location: str = DEFAULT_LOCATION) -> Study:
        """Raises NotFound."""
        return study_of(self.records.document(KIND, id_, project=project, location=location))

    def find(self, reference: str) -> Study:
        """By its id, in whichever project, or by its display name: the newest. Raises NotFound."""
        try:
            return study_of(self.records.find_document(KIND, reference))
        except NotFound:
            found, _ = self.page(where=_is(display_name=reference), limit=1)
        if not found:
            raise NotFound(f"there is no study {reference!r}", remedy="`cairn studies list` shows what there is")
        return found[0]

    def lookup(self, display_name: str, *, project: str = DEFAULT_PROJECT, location: str = DEFAULT_LOCATION) -> Study:
        """The newest of that display name. Raises NotFound."""
        found, _ = self.page(projects=[project], location=location, where=_is(display_name=display_name), limit=1)
        if not found:
            raise NotFound(f"there is no study {display_name!r}")
        return found[0]

    def page(
        self,
        *,
        projects: Collection[str] | None = None,
        location: str = "",
        where: Filter | None = None,
        orders: Sequence[Order] = (),
        query: str = "",
        token: str = "",
        limit: int = 100,
    ) -> tuple[list[Study], str]:
        """Newest first unless `orders` says otherwise, and the token of the next page. Raises InputRefused."""
        documents, following = self.records.page_documents(
            KIND, projects=projects, location=location, where=where, orders=orders, query=query, token=token,
            limit=limit,
        )  # fmt: skip
        return [study_of(document) for document in documents], following

    def page_trials(self, study: Study, *, token: str = "", limit: int = 100) -> tuple[list[Trial], str]:
        """By their numbers, and the token of the next page. Raises InputRefused."""
        documents, following = self.records.page_documents(
            TRIAL,
            projects=[study.project],
            location=study.location,
            parent=study.id,
            orders=(Order("create_time"),),
            query="trials",
            token=token,
            limit=limit,
        )
        return [trial_of(document) for document in documents], following

    def spec(self, study: Study) -> StudySpec:
        return self._memory(study).spec

    def end(self, study: Study, reason: str, state: StudyState = StudyState.COMPLETED) -> Study:
        """No more suggestions; trials that run may still be completed. One that has ended stays as it is."""
        return self._turned(study, StudyState.ACTIVE, state, reason)

    def take_up(self, study: Study) -> Study:
        """Suggestions again for one that is INACTIVE; another one stays as it is."""
        return self._turned(study, StudyState.INACTIVE, StudyState.ACTIVE, "")

    def _turned(self, study: Study, before: StudyState, state: StudyState, reason: str) -> Study:
        def work(current: Study) -> Study:
            if current.state is not before:
                return current
            return msgspec.structs.replace(current, state=state, reason=reason, update_time=self.clock.now())

        for _ in range(_TRIES):
            current = self.get(study.id, project=study.project, location=study.location)
            changed = work(current)
            if changed is current:
                return current
            try:
                return study_of(self.records.replace_document(study_document(changed), etag=str(current.update_time)))
            except Conflict:
                continue
        raise _busy(study)

    def delete(self, study: Study) -> None:
        """With its trials. Raises NotFound."""

        place = {"project": study.project, "location": study.location}
        gone = [self.records.document(KIND, study.id, **place)]
        with suppress(NotFound):
            gone.append(self.records.document(COURSE, study.id, **place))
        gone += self.records.changed_documents(TRIAL, study.id, -1, **place)
        self.records.change_documents(delete=gone)
        with self._lock:
            self._memories.pop((study.project, study.location, study.id), None)

    # --- trials: looking ---------------------------------------------------------------------------------------------

    def trial(self, study: Study, id_: str) -> Trial:
        """As it is recorded now. Raises NotFound."""
        place = {"project": study.project, "location": study.location}
        return trial_of(self.records.document(TRIAL, id_, parent=study.id, **place))

    def trials(self, study: Study) -> list[Trial]:
        """All, by their numbers, as they are recorded now."""
        place = {"project": study.project, "location": study.location}
        found = map(trial_of, self.records.changed_documents(TRIAL, study.id, -1, **place))
        return sorted(found, key=lambda trial: trial.number)

    def optimal_trials(self, study: Study) -> list[Trial]:
        """The best one; of several objectives, those that no other one dominates."""
        return selection.optimal(self.spec(study), self.trials(study))

    # --- trials: deciding --------------------------------------------------------------------------------------------

    def suggest(
        self,
        study: Study,
        count: int,
        client_id: str = "",
        contexts: Sequence[Mapping[str, Any]] = (),
    ) -> Suggestions:
        """What this client is to try. Its trials that are still active come first, then those that somebody has asked
        for, then new ones; fewer, or none, where the study has come to its end.

        `contexts`: for each trial the values that it must have. Raises InputRefused.
        """
        if not 1 <= count <= MAX_SUGGESTIONS:
            raise InputRefused(f"{count} is not between 1 and {MAX_SUGGESTIONS}", place="suggestionCount")
        if contexts and len(contexts) != count:
            raise InputRefused(f"there are {len(contexts)} for {count} suggestions", place="contexts")
        fixed = [
            check_values(self.spec(study), one, f"contexts[{index}].parameters", partial=True)
            for index, one in enumerate(contexts)
        ] or [{}] * count

        def work(memory: Memory, current: Study, course: Document) -> Suggestions:
            decision = decide(memory, current, fixed, client_id, self._stamp(course, current))
            try:
                self._write(memory, course, decision)
            except Conflict:
                memory.undo(decision.asked)
                raise
            return Suggestions(decision.answer, decision.study.state, decision.study.reason)

        return self._decided(study, work)

    def create_trial(
        self,
        study: Study,
        parameters: Mapping[str, Any],
        *,
        final: Measurement | None = None,
        infeasible_reason: str = "",
        measurements: Sequence[Measurement] = (),
        client_id: str = "",
    ) -> Trial:
        """One that somebody asks for: it is handed out by the next suggestion, or is completed already, when it comes
        with its final measurement. Raises InputRefused, WrongState."""
        spec = self.spec(study)
        values = check_values(spec, parameters, "trial.parameters", partial=False)
        if final is not None and (lack := selection.lacking(spec, final)):
            raise InputRefused(lack, place="trial.finalMeasurement")

        def work(memory: Memory, current: Study, course: Document) -> Trial:
            now = self._stamp(course, current)
            ended = final is not None or bool(infeasible_reason)
            if current.state is not StudyState.ACTIVE and not ended:
                raise WrongState(f"study {current.display_name!r} is {current.state}: {current.reason}")
            trial = Trial(
                str(memory.course.trials + 1),
                study.id,
                study.project,
                study.location,
                TrialState.REQUESTED,
                values,
                measurements=selection.merged((), measurements),
                client_id=client_id,
                origin="given",
                start_time=now if ended else 0,
                update_time=now,
            )
            if ended:
                trial = _ended(trial, final, infeasible_reason, now)
            self._write(memory, course, Decision(current, created=[trial], now=now))
            return trial

        return self._decided(study, work)

    def add_measurements(self, trial: Trial, measurements: Sequence[Measurement]) -> Trial:
        """Several at once are one write. Raises WrongState for a trial that has ended, InputRefused."""
        for one in measurements:
            if one.step < 0 or one.elapsed < 0:
                raise InputRefused("is negative", place="measurement.stepCount" if one.step < 0 else "elapsedDuration")

        def work(current: Trial) -> Trial:
            if current.state.terminal:
                raise WrongState(f"trial {trial.id} is {current.state}: it takes no more measurements")
            return msgspec.structs.replace(current, measurements=selection.merged(current.measurements, measurements))

        return self._edited(trial, work)

    def link(self, trial: Trial, custom_job: str, web_access_uris: Mapping[str, str] | None = None) -> Trial:
        """Say which job evaluates it."""
        uris = dict(web_access_uris or {})
        return self._edited(
            trial, lambda one: msgspec.structs.replace(one, custom_job=custom_job, web_access_uris=uris)
        )

    def complete(self, trial: Trial, final: Measurement | None = None, *, infeasible_reason: str = "") -> Trial:
        """SUCCEEDED with `final`, or with one of its measurements, chosen as the study says; INFEASIBLE with a reason,
        or where there is no usable measurement. Raises WrongState for one that has ended already: nothing is
        recorded twice."""

        def end(memory: Memory, current: Trial, now: int) -> Trial:
            if current.state.terminal:
                raise WrongState(f"trial {trial.id} is {current.state} already")
            if infeasible_reason:
                return _ended(current, None, infeasible_reason, now)
            chosen = selection.final_of(memory.spec, current.measurements) if final is None else final
            if chosen is None:
                lack = selection.lacking(memory.spec, (current.measurements or (Measurement({}),))[-1])
            else:
                lack = selection.lacking(memory.spec, chosen)
            return _ended(current, None if lack else chosen, lack, now)

        return self._changed(trial, end)

    def stop(self, trial: Trial, reason: str = "somebody asked for it") -> Trial:
        """Ask for its early end. One that has ended, or is stopping, stays as it is."""

        def work(_: Memory, current: Trial, now: int) -> Trial:
            if current.state.terminal or current.state is TrialState.STOPPING:
                return current
            return msgspec.structs.replace(current, state=TrialState.STOPPING, stopped=reason, update_time=now)

        return self._changed(trial, work)

    def check_early_stopping(self, trial: Trial) -> bool:
        """Whether it should stop: by the study's rule, because somebody said so, or because its study has come to its
        end and says as soon as possible. A trial that should is STOPPING from here on."""
        study = self.get(trial.study, project=trial.project, location=trial.location)
        spec = self.spec(study)

        def work(memory: Memory, current: Trial, now: int) -> Trial:
            if current.state is not TrialState.ACTIVE:
                return current
            found = stopping.verdict(spec, current, memory.listed())
            if found is None:
                return current
            added = (found.prediction,) if found.prediction else ()
            return msgspec.structs.replace(
                current,
                state=TrialState.STOPPING,
                stopped=found.reason,
                measurements=selection.merged(current.measurements, added),
                update_time=now,
            )

        return self._changed(trial, work).state is TrialState.STOPPING

    def delete_trial(self, trial: Trial) -> None:
        """Its number is not given again. Raises NotFound."""

        def work(memory: Memory, current: Study, course: Document) -> None:
            document = trial_document(self.trial(current, trial.id))
            changed = msgspec.structs.replace(memory.course, deletions=memory.course.deletions + 1)
            now = self._stamp(course, current)
            replaced = [(course_document(current, changed, course.create_time, now), course.etag)]
            self.records.change_documents(replace=replaced, delete=[document])

        self._decided(self.get(trial.study, project=trial.project, location=trial.location), work)

    # --- parts -------------------------------------------------------------------------------------------------------

    def _memory(self, study: Study) -> Memory:
        place = (study.project, study.location, study.id)
        with self._lock:
            memory = self._memories.pop(place, None) or Memory(study, parse(study.message))
            self._memories[place] = memory
            while len(self._memories) > _KEPT:
                self._memories.popitem(last=False)
        return memory

    def _decided(self, study: Study, work: Callable[[Memory, Study, Document], T]) -> T:
        """What `work` says, done with the study as it is recorded now; again when somebody else was quicker."""
        memory = self._memory(study)
        place = {"project": study.project, "location": study.location}
        with memory.lock:
            for _ in range(_TRIES):
                try:
                    course = memory.refresh(self.records)
                except NotFound:
                    self._begin(study)
                    continue
                current = study_of(self.records.document(KIND, study.id, **place))
                try:
                    return work(memory, current, course)
                except Conflict:
                    memory.doubt()
                    continue
        raise _busy(study)

    def _begin(self, study: Study) -> None:
        """A study's course is made with its first decision. Raises NotFound when there is no such study."""
        self.get(study.id, project=study.project, location=study.location)
        now = self.clock.now()
        with suppress(AlreadyExists):
            self.records.create_document(course_document(study, Course(), now, now))

    def _changed(self, trial: Trial, work: Callable[[Memory, Trial, int], Trial]) -> Trial:
        """A change of a trial's state: it is written with the study's course."""

        def change(memory: Memory, study: Study, course: Document) -> Trial:
            current = self.trial(study, trial.id)
            now = max(self._stamp(course, study), current.update_time + 1)
            changed = work(memory, current, now)
            if changed is not current:
                self._write(memory, course, Decision(study, replaced=[(changed, current)], now=now))
            return changed

        study = self._memory_of(trial).study
        return self._decided(study, change)

    def _edited(self, trial: Trial, work: Callable[[Trial], Trial]) -> Trial:
        """A change that decides nothing."""
        place = {"project": trial.project, "location": trial.location}
        for _ in range(_TRIES):
            document = self.records.document(TRIAL, trial.id, parent=trial.study, **place)
            changed = msgspec.structs.replace(work(trial_of(document)), update_time=self.clock.now())
            try:
                return trial_of(self.records.replace_document(trial_document(changed), etag=document.etag))
            except Conflict:
                continue
        raise RecordsBusy(f"trial {trial.id} is being changed all the time")

    def _memory_of(self, trial: Trial) -> Memory:
        with self._lock:
            known = self._memories.get((trial.project, trial.location, trial.study))
        return known or self._memory(self.get(trial.study, project=trial.project, location=trial.location))

    def _stamp(self, course: Document, study: Study) -> int:
        return max(self.clock.now(), course.update_time + 1, study.update_time + 1)

    def _write(self, memory: Memory, course: Document, decision: Decision) -> None:
        """One transaction. Raises Conflict, and nothing is written."""
        if not decision.writes:
            return
        random = memory.sampler.random_state() if decision.drew else memory.course.random
        after = msgspec.structs.replace(
            memory.course,
            trials=memory.course.trials + len(decision.created),
            grid=decision.grid if decision.grid >= 0 else memory.course.grid,
            random=random,
        )
        replaced = [(course_document(decision.study, after, course.create_time, decision.now), course.etag)]
        replaced += [(trial_document(new), str(old.update_time)) for new, old in decision.replaced]
        if decision.ended:
            replaced.append((study_document(decision.study), decision.study_etag))
        self.records.change_documents(create=[trial_document(one) for one in decision.created], replace=replaced)
        for asked, trial in zip(decision.asked, decision.drawn, strict=True):
            memory.sampler.accept(asked, trial.id)
        memory.committed(after, str(decision.now), *decision.created, *(new for new, _ in decision.replaced))
        if decision.drew:
            memory.drawn()


def _ended(trial: Trial, final: Measurement | None, infeasible_reason: str, now: int) -> Trial:
    return msgspec.structs.replace(
        trial,
        state=TrialState.SUCCEEDED if final is not None and not infeasible_reason else TrialState.INFEASIBLE,
        final=None if infeasible_reason else final,
        infeasible_reason=infeasible_reason,
        end_time=now,
        update_time=now,
    )


def _is(**fields: Value) -> Filter:
    from cairn.filters.tree import Comparison

    [(name, value)] = fields.items()
    return Comparison((name,), "=", value)


def _busy(study: Study) -> RecordsBusy:
    return RecordsBusy(f"study {study.id} is being changed all the time")
