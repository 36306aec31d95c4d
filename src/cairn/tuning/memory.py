"""What a process knows of a study: its trials, and the sampler that has been told of them. It is brought up to date by
what has changed since, so that a decision costs the same after a thousand trials as after ten."""

from __future__ import annotations

import threading

from cairn.domain.documents import Document
from cairn.tuning.documents import course_of, trial_of
from cairn.tuning.sampling import Asked, Sampler, seed_of
from cairn.tuning.types import COURSE, TRIAL, Course, Study, StudyRecords, StudySpec, Trial, TrialState


class Memory:
    """Of one study. Whoever uses it holds `lock`."""

    def __init__(self, study: Study, spec: StudySpec) -> None:
        self.lock = threading.Lock()
        self.study = study
        self.spec = spec
        self.trials: dict[str, Trial] = {}  # by id, in their order
        self.course = Course()
        self.etag = ""  # of the course that `trials` stand for
        self._sampler: Sampler | None = None
        self._drawn = ""  # the course's etag whose random numbers the sampler has

    def refresh(self, records: StudyRecords) -> Document:
        """Read what has changed; the course's document. Raises NotFound when the study is gone."""
        place = {"project": self.study.project, "location": self.study.location}
        document = records.document(COURSE, self.study.id, **place)
        if document.etag == self.etag:
            return document
        course = course_of(document)
        if course.deletions != self.course.deletions:
            self.trials, self._sampler, self.etag = {}, None, ""
        # A trial's change of state carries the course's own update time, which only grows: nothing is overlooked.
        changed = records.changed_documents(TRIAL, self.study.id, int(self.etag or 0), **place)
        for one in sorted((trial_of(one) for one in changed), key=lambda one: one.number):
            self.keep(one)
        # What was written between the two reads is kept already; it is read once more.
        self.course, self.etag = course, document.etag
        return document

    def committed(self, course: Course, etag: str, *trials: Trial) -> None:
        """What this process has just written."""
        self.course, self.etag = course, etag
        for trial in trials:
            self.keep(trial)

    def keep(self, trial: Trial) -> None:
        self.trials[trial.id] = trial
        if self._sampler is not None:
            self._sampler.note(trial)

    def listed(self) -> list[Trial]:
        return list(self.trials.values())

    @property
    def sampler(self) -> Sampler:
        """With the random numbers of the course as it is known."""
        if self._sampler is None:
            seed = self.study.seed
            self._sampler = Sampler(self.spec, seed_of(self.study.id) if seed is None else seed)
            for trial in self.trials.values():
                self._sampler.note(trial)
            self._drawn = ""
        if self._drawn != self.etag:
            self._sampler.set_random_state(self.course.random)
            self._drawn = self.etag
        return self._sampler

    def doubt(self) -> None:
        """Somebody else was quicker: everything is read again. (What changed no trial's state is not in `etag`.)"""
        self.etag = ""

    def drawn(self) -> None:
        """The sampler's random numbers are those of the course."""
        self._drawn = self.etag

    def undo(self, asked: list[Asked]) -> None:
        """What the sampler gave did not come to be: its random numbers are put back before the next decision."""
        if self._sampler is None:
            return
        for one in asked:
            self._sampler.discard(one)
        self._drawn = ""
        if not self.course.random:
            self._sampler = None

    def active_of(self, client_id: str) -> list[Trial]:
        return [one for one in self.trials.values() if one.state is TrialState.ACTIVE and one.client_id == client_id]
