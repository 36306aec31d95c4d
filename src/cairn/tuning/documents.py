"""Studies, trials and courses as documents, and back."""

from __future__ import annotations

import msgspec

from cairn.domain.documents import Document
from cairn.tuning.types import COURSE, KIND, TRIAL, Course, Study, StudyState, Trial, TrialState


def study_of(document: Document) -> Study:
    study = msgspec.convert(document.body, Study)
    return msgspec.structs.replace(
        study, state=StudyState(document.state), labels=document.labels, update_time=document.update_time
    )


def study_document(study: Study) -> Document:
    return Document(
        KIND,
        study.id,
        study.project,
        study.location,
        display_name=study.display_name,
        state=study.state,
        labels=study.labels,
        owner=study.owner,
        request_id=study.request_id,
        create_time=study.create_time,
        update_time=study.update_time,
        body=msgspec.to_builtins(study),
    )


def trial_document(trial: Trial) -> Document:
    return Document(
        TRIAL,
        trial.id,
        trial.project,
        trial.location,
        trial.study,
        state=trial.state,
        create_time=trial.number,  # lists go by it
        update_time=trial.update_time,
        body=msgspec.to_builtins(trial),
    )


def course_document(study: Study, course: Course, created: int, now: int) -> Document:
    return Document(
        COURSE,
        study.id,
        study.project,
        study.location,
        create_time=created,
        update_time=now,
        body=msgspec.to_builtins(course),
    )


def course_of(document: Document) -> Course:
    return msgspec.convert(document.body, Course)


def trial_of(document: Document) -> Trial:
    trial = msgspec.convert(document.body, Trial)
    return msgspec.structs.replace(trial, state=TrialState(document.state), update_time=document.update_time)
