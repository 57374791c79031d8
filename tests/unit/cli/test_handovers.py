"""What `cluster handovers` makes of changes of owner."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from unit.cli.samples import HANDOVER

from mainspring.cli.gap_spread import GapSpread, gap_spread
from mainspring.cli.tables import HANDOVER_COLUMNS, gap_spread_words, handover_row

ZERO = timedelta(0)


@given(st.lists(st.one_of(st.none(), st.integers(0, 5_000)), max_size=300))
def test_percentiles_are_values_that_occur(gaps_ms: list[int | None]) -> None:
    handovers = [
        replace(HANDOVER, gap=None if gap is None else timedelta(milliseconds=gap)) for gap in gaps_ms
    ]
    spread = gap_spread(handovers)
    known = sorted(timedelta(milliseconds=gap) for gap in gaps_ms if gap is not None)
    assert spread.count == len(known)
    if known:
        assert spread.greatest == known[-1]
        for percent, value in ((50, spread.p50), (99, spread.p99)):
            assert value in known
            assert sum(gap <= value for gap in known) * 100 >= percent * len(known)
            assert sum(gap < value for gap in known) * 100 < percent * len(known)
    else:
        assert (spread.p50, spread.p99, spread.greatest) == (ZERO, ZERO, ZERO)
    assert spread.late_execution_count == 12 * len(handovers)


def test_a_row_says_what_is_known() -> None:
    row = dict(zip(HANDOVER_COLUMNS, handover_row(HANDOVER, utc=True), strict=True))
    assert row["REASON"] == "owner gone"
    assert row["GAP"] == "+45.0 ms", "it began before it was noticed"
    assert (row["LATE"], row["LATEST"]) == ("12", "5000.0 ms")
    released = replace(HANDOVER, release_time=HANDOVER.notice_time, notice_time=None)
    assert handover_row(released, utc=True)[HANDOVER_COLUMNS.index("GAP")] == "45.0 ms"
    first = replace(HANDOVER, from_node_id="", notice_time=None, gap=None, late_execution_count=0)
    row = dict(zip(HANDOVER_COLUMNS, handover_row(first, utc=True), strict=True))
    assert (row["FROM"], row["GAP"], row["LATE"], row["LATEST"]) == ("-", "-", "0", "-")


def test_the_sentence_about_all() -> None:
    spread = GapSpread(
        1200, timedelta(milliseconds=20), timedelta(milliseconds=99.5), timedelta(seconds=1), 0, ZERO
    )
    assert gap_spread_words(spread) == (
        "1,200 gaps: p50 20.0 ms, p99 99.5 ms, max 1000.0 ms; 0 executions late by them"
    )
