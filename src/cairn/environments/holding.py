"""Built environments in use: held against collection until this process ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from cairn.environments.catalogue import READY, BuiltRecord, Catalogue
from cairn.environments.locking import open_lock, try_lock
from cairn.errors import EnvironmentBuildError


class Holding:
    """Threads: any."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._records: dict[str, BuiltRecord] = {}  # by spec
        self._descriptors: dict[str, int] = {}  # by environment

    def find(self, spec_key: str) -> BuiltRecord | None:
        """What the spec has given, when it is there; it stays from now on."""
        known = self._records.get(spec_key)
        if known is not None:
            if self.catalogue.is_ready(known.environment_key):
                return known
            # Held against collection, yet gone: removed by hand.
            self._records.pop(spec_key, None)
            self._let_go(known.environment_key)
            return None
        record = self.catalogue.record(spec_key)
        if record is None or not self._hold(record.environment_key):
            return None
        return self._remember(record)

    def build(self, make: Callable[[], BuiltRecord]) -> BuiltRecord:
        """Have it made until it is held. Raises EnvironmentBuildError."""
        for _ in range(100):
            record = make()
            if self._hold(record.environment_key):
                return self._remember(record)
            time.sleep(0.02)  # collected, or being collected, since: build again
        raise EnvironmentBuildError("the environment is removed as often as it is built")

    def close(self) -> None:
        """Let all of them go."""
        self._records.clear()
        for key in list(self._descriptors):
            self._let_go(key)

    def _hold(self, key: str) -> bool:
        """Keep an environment from being collected; False when it is not there to be held."""
        if key not in self._descriptors:
            descriptor = open_lock(self.catalogue.held_lock(key))
            if not try_lock(descriptor, shared=True) or not self.catalogue.is_ready(key):
                os.close(descriptor)
                return False
            self._descriptors[key] = descriptor
            os.utime(self.catalogue.directory(key) / READY)
        return self.catalogue.is_ready(key)

    def _remember(self, record: BuiltRecord) -> BuiltRecord:
        self._records[record.spec_key] = record
        return record

    def _let_go(self, key: str) -> None:
        descriptor = self._descriptors.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)
