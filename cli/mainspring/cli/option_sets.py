"""Sets of options that several commands take: a dataclass whose fields are options."""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar, TypeGuard, get_type_hints


@dataclass(frozen=True, kw_only=True)
class OptionSet:
    """What the command line says; None or nothing where it says nothing. Each field of a subclass is an option.

    Attributes:
        is_shown_last: Whether help shows these options behind all others of a command.
    """

    is_shown_last: ClassVar[bool] = False

    def said(self) -> list[str]:
        """Return the names of the options that were given."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        return [name for name, value in given if not (value is None or value is False or value == [])]


def takes_option_sets(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of each `OptionSet` among its parameters, in place of that parameter."""
    signature = inspect.signature(command, eval_str=True)
    sets = {
        name: list(_options(parameter.annotation))
        for name, parameter in signature.parameters.items()
        if _is_option_set(parameter.annotation)
    }

    def with_options(**given: Any) -> None:
        for name, options in sets.items():
            said = {option.name: given.pop(option.name) for option in options}
            given[name] = signature.parameters[name].annotation(**said)
        command(**given)

    in_order = sorted(signature.parameters, key=lambda name: name in sets and _is_last(signature, name))
    parameters = [
        # Typer hands in all by name; by position none with a default could come before one without.
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name in in_order
        for each in sets.get(name, [signature.parameters[name]])
    ]
    # What Typer reads of a command: its name, its help, and its parameters with their options.
    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options


def _is_last(signature: inspect.Signature, name: str) -> bool:
    return bool(signature.parameters[name].annotation.is_shown_last)


def _is_option_set(annotation: object) -> TypeGuard[type[OptionSet]]:
    return isinstance(annotation, type) and issubclass(annotation, OptionSet)


def _options(kind: type[OptionSet]) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):
        default: Any = field.default
        if field.default_factory is not MISSING:
            default = field.default_factory()
        elif default is MISSING:
            default = inspect.Parameter.empty
        yield inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[field.name]
        )
