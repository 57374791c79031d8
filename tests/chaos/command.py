"""`make chaos`: campaigns of faults on real clusters, one after another, unattended, with a verdict."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from chaos import plan as plans
from chaos.campaign import Campaign, CampaignSettings
from chaos.faults import SINGLES
from chaos.judgement import CampaignJudgement, judge
from chaos.plan import Plan
from chaos.reliability import note, rows_of
from chaos.traffic import TrafficSettings

from mainspring.testing.cluster import ClusterSettings
from mainspring.testing.errors import TestingError

PAIRS = 8
SHOWN = 5
"""Violations whose evidence is printed."""
KILLS = 12
"""Occurrences of a killed node at each setting of ZooKeeper's."""
BUSY = TrafficSettings(rate=270)
"""With the recurring tasks about 300 executions a second."""


async def play(
    plan: Plan, *, traffic: TrafficSettings | None = None, cluster: ClusterSettings | None = None
) -> CampaignJudgement:
    """Run a campaign and judge it.

    Raises:
        TestingError: the cluster did not come up, or did not recover from a fault, or a fault did not happen.
    """
    settings = CampaignSettings(plan.name, plan.seed)
    settings = replace(settings, traffic=traffic or settings.traffic, cluster=cluster or settings.cluster)
    async with Campaign(settings) as campaign:
        history = await campaign.run(plan.steps)
    return await asyncio.to_thread(judge, history, campaign.episodes)


def tell(judgement: CampaignJudgement) -> None:
    """Print what was found; of violations the evidence too, for the run may be gone when somebody reads this."""
    for figures in judgement.figures:
        episode = figures.episode
        print(
            f"{episode.name:40} {figures.due:7,} due, {figures.runs_again:4} again, {figures.lost:3} lost, "
            f"latest {figures.late_us / 1000:9,.1f} ms ({figures.late_from_due_us / 1000:9,.1f} from due), "
            f"{dict(episode.facts)}"
        )
    print(judgement.verdict.counts)
    violations = judgement.verdict.violations
    if violations:
        print("faults:", *judgement.history.faults, sep="\n  ")
    for violation in violations[:SHOWN]:
        print(f"{violation}:", *violation.evidence, sep="\n  ")
    for complaint in judgement.complaints:
        print(f"NOT OK: {complaint}", flush=True)


def run_plan(
    plan: Plan,
    *,
    suffix: str = "",
    traffic: TrafficSettings | None = None,
    cluster: ClusterSettings | None = None,
) -> bool:
    """Run a plan, print and note what was found; whether all was as promised."""
    try:
        judgement = asyncio.run(play(plan, traffic=traffic, cluster=cluster))
    except TestingError as error:
        print(f"NOT OK: campaign {plan.name}, seed {plan.seed}: {error}", flush=True)
        return False
    tell(judgement)
    note(rows_of(judgement, plan.seed, suffix=suffix))
    return not judgement.complaints


def kills(seed: int) -> list[bool]:
    """A node killed again and again at 300 executions a second, with ZooKeeper's default ticks and with those of 1 s."""
    return [
        run_plan(
            Plan(name, seed, (replace(SINGLES["nodes"][0], bound_s=bound_s),) * KILLS),
            suffix=f", {words}",
            traffic=BUSY,
            cluster=ClusterSettings(zookeeper_tick_ms=tick_ms, zookeeper_session_s=session_s, has_audit=True),
        )
        for name, words, tick_ms, session_s, bound_s in (
            ("kills-1s-ticks", "300/s, ticks of 1 s, session of 3 s", 1_000, 3.0, 6.0),
            ("kills-2s-ticks", "300/s, ticks of 2 s, session of 4 s", 2_000, 4.0, 10.0),
        )
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; 0 when all was as promised."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="one seed, one plan")
    parser.add_argument("--only", action="append", default=[], help="part of a fault's name; may be repeated")
    parser.add_argument("--repeat", type=int, default=1, help="each campaign's faults so often")
    parser.add_argument("--pairs", type=int, default=PAIRS, help="how many pairs")
    parser.add_argument("--long", action="store_true", help="what takes longer: see `make chaos-long`")
    options = parser.parse_args(arguments)
    began_s = time.monotonic()
    seed = options.seed
    if options.long:
        verdicts = kills(seed)
        more = [plans.pairs(seed + 1, 2 * PAIRS), *plans.singles(seed + 1)]
    else:
        verdicts = []
        more = [*plans.singles(seed), plans.pairs(seed, options.pairs)]
    for plan in plans.only(more, options.only):
        verdicts.append(run_plan(replace(plan, steps=plan.steps * options.repeat)))
    print(f"{sum(verdicts)} of {len(verdicts)} campaigns ok, {(time.monotonic() - began_s) / 60:.1f} minutes")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
