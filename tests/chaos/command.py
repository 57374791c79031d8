"""`make chaos`: campaigns of faults on real clusters, one after another, unattended, with a verdict."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from chaos.campaign import Campaign, CampaignSettings, Step
from chaos.faults import SINGLES
from chaos.judgement import CampaignJudgement, judge


async def play(settings: CampaignSettings, steps: Sequence[Step]) -> CampaignJudgement:
    """Run a campaign and judge it."""
    async with Campaign(settings) as campaign:
        history = await campaign.run(steps)
    return await asyncio.to_thread(judge, history, campaign.episodes)


def tell(judgement: CampaignJudgement) -> None:
    """Print what was found."""
    for figures in judgement.figures:
        episode = figures.episode
        print(
            f"{episode.name:40} {figures.due:7,} due, {figures.runs_again:4} again, {figures.lost:3} lost, "
            f"latest {figures.late_us / 1000:9,.1f} ms ({figures.late_from_due_us / 1000:9,.1f} from due), "
            f"{dict(episode.facts)}"
        )
    print(judgement.verdict.counts)
    for complaint in judgement.complaints:
        print(f"NOT OK: {complaint}")


def main() -> int:
    """Run what is asked for; 0 when all was as promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", action="append", default=[], help="part of a fault's name; may be repeated")
    parser.add_argument("--repeat", type=int, default=1)
    arguments = parser.parse_args()
    complaints: list[str] = []
    for name, steps in SINGLES.items():
        wanted = [s for s in steps if not arguments.only or any(part in s.name for part in arguments.only)]
        if wanted:
            judgement = asyncio.run(play(CampaignSettings(name, arguments.seed), wanted * arguments.repeat))
            tell(judgement)
            complaints += judgement.complaints
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
