"""Runs where google-auth is installed: logs in to the server at argv[1] in every way google-auth has, with the key file
in GOOGLE_APPLICATION_CREDENTIALS, and prints what came of it."""

import json
import os
import sys

import google.auth
import requests
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import service_account

URL = sys.argv[1]
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
told = {}


def ask(credentials, **session):
    """The status of a request; or what google-auth says."""
    try:
        answer = AuthorizedSession(credentials, max_refresh_attempts=1, **session).get(
            f"{URL}/cairn/v1/runs", timeout=30
        )
    except google.auth.exceptions.GoogleAuthError as error:
        return str(error.args[0])
    return answer.status_code


credentials, project = google.auth.default(scopes=[SCOPE])
told["project"] = project
told["email"] = credentials.service_account_email
# As the clients' transports do it: a token signed by oneself, with the scope and no audience …
told["self_signed"] = ask(credentials.with_always_use_jwt_access(True), default_host="aiplatform.googleapis.com")
# … or without a scope, for the API's host.
plain, _ = google.auth.default()
told["for_a_host"] = ask(plain.with_always_use_jwt_access(True), default_host="us-central1-aiplatform.googleapis.com")
told["for_another_host"] = ask(plain.with_always_use_jwt_access(True), default_host="evil.example.com")
# The token endpoint.
told["exchanged"] = ask(credentials)
credentials.refresh(Request())
told["token"] = credentials.token.count(".")
told["valid"] = credentials.valid
identity = service_account.IDTokenCredentials.from_service_account_file(
    os.environ["GOOGLE_APPLICATION_CREDENTIALS"], target_audience=URL
)
told["identity"] = ask(identity)
told["identity_elsewhere"] = ask(identity.with_target_audience("https://elsewhere.example.com"))
told["nobody"] = requests.get(f"{URL}/cairn/v1/runs", timeout=30).status_code
print(json.dumps(told))
