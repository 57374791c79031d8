"""Plans of faults: one seed, one plan; every fault of the matrix is in it."""

from chaos.faults import MINUTE, OF_EXECUTORS, PAIRABLE, SINGLES
from chaos.plan import excerpt, only, pairs, singles


def test_one_seed_gives_one_plan() -> None:
    assert [step.name for step in pairs(7, 8).steps] == [step.name for step in pairs(7, 8).steps]
    assert [step.name for step in pairs(7, 8).steps] != [step.name for step in pairs(8, 8).steps]
    assert [step.name for step in excerpt(7, 60).steps] == [step.name for step in excerpt(7, 60).steps]


def test_every_single_fault_is_in_the_plan_once() -> None:
    names = [step.name for plan in singles(1) for step in plan.steps]
    assert len(names) == len(set(names)) == sum(map(len, SINGLES.values()))


def test_pairs_are_of_two_different_faults_and_none_comes_twice() -> None:
    for seed in range(20):
        names = [step.name for step in pairs(seed, 8).steps]
        assert len(names) == len(set(names)) == 8
        assert all(len(set(name.split(" + "))) == 2 for name in names)
        assert not any(OF_EXECUTORS.issuperset(name.split(" + ")) for name in names), (
            "no executor would be left"
        )


def test_a_pair_promises_ten_seconds() -> None:
    assert all(step.bound_s == 10.0 for step in pairs(1, 8).steps)


def test_an_excerpt_fits_and_repeats_nothing_before_all_were_there() -> None:
    assert sum(step.takes_s for step in excerpt(1, 60).steps) <= 60
    names = [step.name for step in excerpt(1, 1_000).steps]
    assert len(set(names[: len(MINUTE)])) == len(MINUTE)


def test_an_excerpt_promises_ten_seconds_whatever_else_the_machine_does() -> None:
    assert {step.bound_s for step in excerpt(1, 240).steps} == {10.0}


def test_a_plan_can_be_cut_down_to_some_faults() -> None:
    assert [s.name for plan in only(singles(1), ["SIGTERM"]) for s in plan.steps] == ["SIGTERM of a node"]
    assert only(singles(1), []) == singles(1)
    assert only(singles(1), ["no such fault"]) == ()


def test_bounds_are_those_that_the_product_promises() -> None:
    bounds = {step.name: step.bound_s for steps in SINGLES.values() for step in steps}
    assert all(bound <= 10.0 for bound in bounds.values())
    orderly = (
        "SIGTERM of a node",
        "a node joins and leaves",
        "rolling restart of all nodes",
        "ZooKeeper stopped for 60 s",
    )
    assert all(bounds[name] == 1.0 for name in orderly)
    assert {step.name for step in (*PAIRABLE, *MINUTE)} <= bounds.keys()
