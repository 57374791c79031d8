"""Figures of a run while it goes on, from the executors' run logs: read as they grow, without a word to the cluster."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mainspring.testing.report import Spread

SECOND_US = 1_000_000


class LiveFigures:
    """Counts over all run logs. Lateness is the start minus the scheduled time, on the executor's clock."""

    def __init__(self) -> None:
        """Nothing is read yet."""
        self.started = 0
        self.ended = 0
        self.by_executor: Counter[str] = Counter()
        self.per_second: Counter[int] = Counter()
        """Starts by whole second since 1970."""
        self._lateness_us: list[int] = []
        self._offsets: dict[Path, int] = {}

    @property
    def running(self) -> int:
        """Runs whose end was not written yet; after a kill of an executor its open ones stay counted."""
        return self.started - self.ended

    def read(self, paths: Iterable[Path]) -> None:
        """Read what the files have gained since the last call; half a line waits for the next."""
        for path in paths:
            offset = self._offsets.get(path, 0)
            with path.open("rb") as file:
                file.seek(offset)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._offsets[path] = offset + len(whole)
            for line in whole.splitlines():
                self._take(json.loads(line))

    def lateness(self) -> Spread:
        """The spread so far."""
        return Spread.of(self._lateness_us)

    def rates(self, until_at: int, seconds: int) -> list[int]:
        """Starts in each of the last whole seconds before `until_at` (microseconds), oldest first."""
        last_s = until_at // SECOND_US
        return [self.per_second[second] for second in range(last_s - seconds, last_s)]

    def _take(self, event: dict[str, object]) -> None:
        if event["event"] == "end":
            self.ended += 1
            return
        at, scheduled_at = event["at"], event["scheduled_at"]
        assert isinstance(at, int)
        assert isinstance(scheduled_at, int)
        self.started += 1
        self.by_executor[str(event["executor_id"])] += 1
        self.per_second[at // SECOND_US] += 1
        self._lateness_us.append(at - scheduled_at)
