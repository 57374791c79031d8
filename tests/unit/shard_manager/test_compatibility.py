"""Who makes way: never both, never neither, and nobody who can talk to the others."""

from hypothesis import given
from hypothesis import strategies as st

from mainspring.shard_manager.compatibility import makes_way_for
from mainspring.shard_manager.membership import Member, ProtocolRange

ranges = st.tuples(st.integers(1, 5), st.integers(0, 2)).map(lambda p: ProtocolRange(p[0], p[0] + p[1]))


def member(protocol: ProtocolRange, *, ready: bool = True) -> Member:
    return Member("other", "other:1", "1", ready, protocol=protocol)


@given(ranges, ranges)
def test_of_two_ready_ones_exactly_one_makes_way_if_they_cannot_talk(
    one: ProtocolRange, two: ProtocolRange
) -> None:
    first = makes_way_for(one, True, [member(two)])
    second = makes_way_for(two, True, [member(one)])
    common = set(range(one.lowest, one.highest + 1)) & set(range(two.lowest, two.highest + 1))
    assert (len(first) + len(second) == 1) is not bool(common)
    assert not first or two < one


@given(ranges, ranges)
def test_who_is_not_ready_yet_waits_for_whoever_is(own: ProtocolRange, other: ProtocolRange) -> None:
    assert bool(makes_way_for(own, False, [member(other)])) is not own.overlaps(other)
    assert makes_way_for(own, False, [member(other, ready=False)]) == {}
