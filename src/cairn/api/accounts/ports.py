"""What accounts need of the records."""

from __future__ import annotations

from typing import Protocol

from cairn.domain.credentials import Credential


class CredentialRecords(Protocol):
    """Threads: any."""

    def add_credential(self, credential: Credential) -> None:
        """Raises AlreadyExists when its id is taken."""

    def delete_credential(self, id_: str) -> None:
        """Raises NotFound."""

    def note_use(self, id_: str, time: int) -> None: ...

    def credential(self, id_: str) -> Credential | None: ...

    def credential_by_verifier(self, verifier: str) -> Credential | None: ...

    def credentials(self) -> list[Credential]:
        """The oldest first."""
        ...

    def has_credentials(self, now: int) -> bool:
        """Whether there is one that is valid at `now`, microseconds since the epoch."""
        ...

    def project_of_running(self, attempt: str) -> str | None:
        """The project that a running attempt's run belongs to; None when no such attempt runs."""
        ...
