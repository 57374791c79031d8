"""The engine's constants, each with its reason. Set through `server.config`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Durations in seconds. The time budget they serve is in docs/design.md."""

    window_s: float = 10.0
    """How far ahead due tasks are loaded. Longer than a fail-over, so that a load that fails has time to be repeated."""
    window_capacity: int = 100_000
    """How many due tasks are remembered at most: about 60 MB."""
    load_page: int = 5_000
    """Rows a statement; a page takes some 50 ms, so nobody waits long behind it."""
    sweep_interval_s: float = 2.0
    """A lost hint costs at most this and `sweep_grace_s`."""
    sweep_grace_s: float = 1.0
    """What has been due for less is probably being claimed."""
    full_sweep_every: int = 15
    """Each n-th sweep has no lower bound; the others look back `sweep_back_s`: index entries not purged yet slow a scan."""
    sweep_back_s: float = 60.0
    claim_batch: int = 1_000
    claim_lanes: int = 3
    """Claims under way at once; with more, commits only queue for the disk."""
    claim_distance_s: float = 0.01
    """Between the begins of two claims, at least: it bounds what a trickle costs, at 100 transactions a second, and what it
    adds to lateness."""
    complete_distance_s: float = 0.02
    """The same for the writing of results, for which nobody waits."""
    claim_wake_s: float = 6.0
    """When the sweep looks at an execution that nothing more was heard of: with the time until it does, below 10 s."""
    extension_s: float = 60.0
    """How often a long execution's row is written."""
    progress_s: float = 10.0
    """How often at most the row of one that reports progress is: 20,000 of them are 2,000 rows a second."""
    assign_batch: int = 500
    complete_batch: int = 500
    complete_lanes: int = 2
    register_batch: int = 500
    register_lanes: int = 2
    lease_s: float = 3.0
    """An executor silent for this long is dead."""
    heartbeat_interval_s: float = 1.0
    stale_commit_s: float = 2.0
    """After a commit that took longer the epoch is read again before anything is sent."""
    misfire_grace_s: float = 30.0
    """Scheduled times that passed longer ago are misfires: what becomes of them is a matter of the task's policy."""
    catch_up_spacing_s: float = 0.2
    """Missed times of one task that are made up for begin so far apart at least: no task has the lane to itself."""
    catch_up_per_s: float = 100.0
    """How many missed times of all tasks a node begins to make up for in a second: a backlog takes as long as it takes,
    and leaves executors and the database to what is due now."""
    catch_up_share: float = 0.5
    """Of the work for a handler that this node has at executors or credit for, so much may be made up for at a time, and
    one in any case: the rest is free for what becomes due meanwhile, however long the made-up ones run."""
    claim_rows: int = 5_000
    """Executions that one claim records at most, but for those of its last task: a backlog must not make it slow."""
    max_runs_per_claim: int = 100
    """How many passed times of one task a claim turns into executions at once."""
    retention_first_s: float = 300.0
    """How long after a partition was taken its ledger is first walked for what is old: not into a herd of take-overs."""
    retention_round_s: float = 3_600.0
    """How long after that again; 0: nothing is ever removed."""
    retention_slice: int = 500
    """Rows that one statement removes at most: some 10 ms."""
    unanswered_results: int = 100_000
    """Results remembered while they wait to be written; beyond it executors have to repeat theirs."""
    queued_hints: int = 50_000
    """Hints that wait for other nodes; beyond it they are dropped and the sweep finds the tasks."""
