"""Real time as a `Timer`."""

import asyncio
import time


class SystemTimer:
    """The operating system's monotonic clock and asyncio's waiting."""

    def monotonic(self) -> float:
        """See `Timer.monotonic`."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """See `Timer.sleep`."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """See `Timer.timeout`."""
        return asyncio.timeout(seconds)
