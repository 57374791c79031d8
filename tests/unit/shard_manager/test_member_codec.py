"""The published document: what goes in comes out, and it stays small."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.shard_manager.member_codec import decode, encode
from mainspring.shard_manager.membership import Member, ProtocolRange

members = st.builds(
    Member,
    node_id=st.just("n"),
    address=st.text(max_size=30),
    version=st.text(max_size=10),
    ready=st.booleans(),
    holds=st.dictionaries(st.integers(0, 300), st.integers(1, 9), max_size=60),
    prepared=st.frozensets(st.integers(0, 300), max_size=60),
    is_new=st.booleans(),
    away=st.frozensets(st.sampled_from(["database", "executors", "leaving"])),
    executors=st.integers(0, 1000),
    protocol=st.builds(ProtocolRange, st.integers(1, 9), st.integers(1, 9)),
    time_zone_database=st.sampled_from(["", "2026f"]),
)


@given(members)
def test_round_trip(member: Member) -> None:
    assert decode("n", encode(member)) == member


def test_stays_small() -> None:
    rng = random.Random(1)
    worst = Member("n", "10.0.0.1:7070", "1.0", True, {p: rng.randrange(10, 99) for p in range(256)})
    assert len(encode(worst)) < 2048
    usual = Member("n", "10.0.0.1:7070", "1.0", True, dict.fromkeys(range(0, 256, 4), 17))
    assert len(encode(usual)) < 768


def test_a_document_that_says_the_least() -> None:
    member = decode(
        "n", b'{"format":1,"address":"a:1","version":"1","ready":false,"new":false,"holds":"","prepared":""}'
    )
    assert (member.away, member.executors, member.protocol) == (frozenset(), 0, (1, 1))
    assert member.time_zone_database == ""


def test_unknown_fields_are_ignored() -> None:
    member = decode(
        "n", b'{"format":9,"address":"a:1","version":"2","ready":true,"rack":"b","holds":"1-3:7"}'
    )
    assert member == Member("n", "a:1", "2", True, {1: 7, 2: 7, 3: 7})


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"[]", b"{}", b'{"address":"a","version":"1","ready":true,"holds":"0-99999999:1"}', b"7"],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - JSON, Unicode and our own errors
        decode("n", data)
