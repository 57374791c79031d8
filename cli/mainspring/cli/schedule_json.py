"""Schedules, and when they fire, in the JSON form of the protos; see `json_form`. PURE."""

from mainspring.cli.calendar_words import format_time_of_day
from mainspring.cli.json_values import JsonObject, duration_json, instant_json
from mainspring.client import (
    At,
    CalendarInterval,
    Cron,
    Delay,
    Every,
    Exclusions,
    FireTime,
    Preview,
    Recurring,
    Schedule,
)


def schedule_json(schedule: Schedule | None) -> JsonObject | None:
    """The schedule as `mainspring.v1.Schedule`: its kind under the kind's name, and every bound."""
    match schedule:
        case None:
            return None
        case At(time=time):
            kind: JsonObject = {"at": instant_json(time)}
        case Delay(delay=delay):
            kind = {"delay": duration_json(delay)}
        case Cron():
            kind = {"cron": _cron(schedule)}
        case Every(every=every, phase=phase):
            kind = {"interval": {"every": duration_json(every), "phase": duration_json(phase)}}
        case CalendarInterval():
            kind = {"calendar_interval": _calendar_interval(schedule)}
    bounds = schedule if isinstance(schedule, Recurring) else Recurring()
    return {
        **kind,
        "start_time": instant_json(bounds.start),
        "end_time": instant_json(bounds.end),
        "max_executions": bounds.max_executions,
        "jitter": duration_json(schedule.jitter or None),
        "exclusions": None if bounds.exclusions == Exclusions() else _exclusions(bounds.exclusions),
    }


def preview_json(preview: Preview) -> JsonObject:
    """The preview as `mainspring.v1.PreviewScheduleResponse`."""
    return {
        "schedule": schedule_json(preview.schedule),
        "meaning": preview.meaning,
        "fires": [fire_json(fire) for fire in preview.fires],
        "is_complete": preview.is_complete,
    }


def fire_json(fire: FireTime) -> JsonObject:
    """The scheduled time that is to come as `mainspring.v1.FireTime`."""
    return {
        "scheduled_time": instant_json(fire.scheduled_time),
        "due_time": instant_json(fire.due_time),
        "local_time": fire.local_time.isoformat(),
        "notes": [
            {
                "effect": f"CLOCK_CHANGE_EFFECT_{note.effect.name}",
                "wall_time": None if note.wall_time is None else note.wall_time.isoformat(),
                "count": note.count,
                "text": note.text,
            }
            for note in fire.notes
        ],
    }


def _cron(cron: Cron) -> JsonObject:
    return {
        "expressions": list(cron.expressions),
        "time_zone": cron.time_zone,
        "gap_policy": f"GAP_POLICY_{cron.gap.name}",
        "repeat_policy": f"REPEAT_POLICY_{cron.repeat.name}",
    }


def _calendar_interval(calendar: CalendarInterval) -> JsonObject:
    return {
        "every": calendar.every,
        "unit": f"CALENDAR_UNIT_{calendar.unit.name}",
        "weekdays": [f"WEEKDAY_{day.name}" for day in calendar.weekdays],
        "days_of_month": list(calendar.days_of_month),
        "times": [format_time_of_day(each) for each in calendar.times],
        "time_zone": calendar.time_zone,
        "start_date": None if calendar.start_date is None else calendar.start_date.isoformat(),
        "gap_policy": f"GAP_POLICY_{calendar.gap.name}",
        "repeat_policy": f"REPEAT_POLICY_{calendar.repeat.name}",
    }


def _exclusions(exclusions: Exclusions) -> JsonObject:
    return {
        "dates": [day.isoformat() for day in exclusions.dates],
        "expressions": list(exclusions.expressions),
        "time_zone": exclusions.time_zone,
    }
