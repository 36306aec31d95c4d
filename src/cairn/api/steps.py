"""Steps as clients of the server that hosts their engine.

Each step has a token of its own, good for its attempt, in its project, as long as the attempt runs. Clients that insist
on Google credentials find an account whose refresh token it is. Where the server asks for logins, a step is given the
server's URL with the token in the path, `http://127.0.0.1:8080/steps/TOKEN`: any client that takes a URL
(google-cloud-storage, gcsfs, kfp) works with it and needs no credentials.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import msgspec

from cairn.client.environment import SHIM, variables
from cairn.engine.ports import StepSurroundings

if TYPE_CHECKING:
    from pathlib import Path

    from cairn.api.accounts.step_tokens import StepTokens

PREFIX = "/steps/"
CREDENTIALS_FILE = "google-credentials.json"
_ACCOUNT = {"type": "authorized_user", "client_id": "cairn-step", "client_secret": "none"}
_PASSED = (
    "CAIRN_URL",
    "STORAGE_EMULATOR_HOST",
    "KF_PIPELINES_ENDPOINT",
)  # they name the server with the token
_NOT_FOR_STEPS = ("PYTHONPATH", "CAIRN_ENV_BEFORE", "GOOGLE_CLOUD_PROJECT", "GOOGLE_CLOUD_REGION")


class ServedSteps:
    """Implements `engine.ports.Surroundings`."""

    def __init__(self, url: str, tokens: StepTokens, *, login: bool, shim: Path = SHIM) -> None:
        self._url = url
        self._login = login
        self._tokens = tokens
        self._shim = os.fspath(shim)
        placeholder = variables("http://127.0.0.1", shim, environ={})
        left_out = (*_PASSED, *_NOT_FOR_STEPS)
        self._fixed = {name: value for name, value in placeholder.items() if value and name not in left_out}

    def of_attempt(self, attempt_uid: str, project: str, directory: str) -> StepSurroundings:
        token = self._tokens.issue(attempt_uid, project)
        account = {**_ACCOUNT, "refresh_token": token, "quota_project_id": project}
        path = os.path.join(directory, CREDENTIALS_FILE)
        return StepSurroundings(
            variables={
                **self._fixed,
                "GOOGLE_APPLICATION_CREDENTIALS": path,
                "GOOGLE_CLOUD_PROJECT": project,
                "CAIRN_STEP_SHIM": self._shim,
            },
            secret_variables=dict.fromkeys(_PASSED, f"{self._url}{PREFIX}{token}" if self._login else self._url),
            files=((path, msgspec.json.encode(account)),),
        )

    def close(self) -> None:
        """Nothing is held: the server is this process."""


def split(path: str, headers: dict[str, str]) -> tuple[str, str]:
    """(`/steps/TOKEN`, the rest) of a step's path, whose token becomes the request's authorization; ("", path) of
    every other one."""
    if not path.startswith(PREFIX):
        return "", path
    token, slash, rest = path[len(PREFIX) :].partition("/")
    headers["authorization"] = f"Bearer {token}"
    return f"{PREFIX}{token}", f"{slash}{rest}"
