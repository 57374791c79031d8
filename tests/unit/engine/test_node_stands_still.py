"""A node that stood still blames nobody for the signs of life that it has not read yet."""

import asyncio

from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.testing.virtual_time import VirtualTimeLoop


@in_virtual_time
async def test_a_short_stand_still_makes_no_executor_silent() -> None:
    """The time since the last beat and the stand-still are a lease together; the next beat waits in the socket."""
    async with EngineBench() as bench:
        executor = bench.executor(credit=1)
        await bench.adopt(0)
        (ref,) = await bench.register(bench.task())
        await bench.until(lambda: executor.running)
        executor.start()
        executor.is_beating = False
        heard_at_s = executor.live_session.heard_at_s
        await bench.pass_time(heard_at_s + 1.35 - bench.clock.lease_time())
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.stand_still(1.7)
        executor.is_beating = True
        await bench.pass_time(5)
        assert bench.engine.executors.get(executor.executor_id) is executor.session
        executor.end()
        await bench.until_state([ref])
        assert (await bench.row(ref)).attempt == 1
