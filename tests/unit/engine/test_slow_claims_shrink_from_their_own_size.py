"""The limit is halved from the setting (1,000), not from the size of the batch that failed: rounds of 3 s are wasted."""

import pytest
from unit.engine.engine_bench import EngineBench
from unit.engine.virtual_time import in_virtual_time

from mainspring.server.errors import StoreUnavailable


@pytest.mark.parametrize("fits", [25, 50, 100, 200])
@in_virtual_time
async def test_a_herd_on_a_database_that_times_out_on_large_batches(fits: int) -> None:
    async with EngineBench() as bench:
        bench.executor(credit=1000)
        await bench.adopt(0)
        # 3 s is the statement's deadline.
        bench.store.always(
            "claim", StoreUnavailable(), delay_s=3.0, when=lambda o, e, items, **_: len(items) > fits
        )
        tasks = [bench.task(in_s=0.5) for _ in range(400)]
        refs = await bench.register(*tasks)
        await bench.until(lambda: len(bench.sent) == len(refs), within_s=120)
        late_s = (max(s.at for s in bench.sent) - tasks[0].due_at) / 1e6
        print("fits", fits, "late", late_s, [len(a[2]) for a in bench.store.calls["claim"]][:12])
        assert late_s <= 10
