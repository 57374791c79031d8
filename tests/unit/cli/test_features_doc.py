"""docs/features.md names what there is: calls and fields of the API, commands and options, names of the client, tests."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest
import typer.main
from google.protobuf.descriptor import FileDescriptor

from mainspring import client
from mainspring.cli.app import app
from mainspring.v1 import (
    admin_service_pb2,
    execution_pb2,
    execution_service_pb2,
    namespace_service_pb2,
    policy_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)

GROUPS = ("task ", "execution ", "namespace ")
PAGE = Path(__file__).resolve().parents[3] / "docs" / "features.md"
MODULES = (
    admin_service_pb2,
    execution_pb2,
    execution_service_pb2,
    namespace_service_pb2,
    policy_pb2,
    schedule_pb2,
    task_pb2,
    task_service_pb2,
)
ROWS = [
    [cell.strip() for cell in line.strip().strip("|").split("|")]
    for line in PAGE.read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| feature", "| ---"))
]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def names_of_the_api() -> set[str]:
    found: set[str] = set()
    for module in MODULES:
        file: FileDescriptor = module.DESCRIPTOR
        for message in file.message_types_by_name.values():
            found |= {f"{message.name}.{field.name}" for field in message.fields}
        for service in file.services_by_name.values():
            found |= {method.name for method in service.methods}
    return found


def options_by_command() -> dict[str, set[str]]:
    root = typer.main.get_group(app)
    found: dict[str, set[str]] = {}
    for group_name, group in root.commands.items():
        for name, command in getattr(group, "commands", {}).items():
            options = {option for parameter in command.params for option in parameter.opts}
            found[f"{group_name} {name}"] = options
    return found


def is_of_the_client(name: str) -> bool:
    kind, _, attribute = name.partition(".")
    found = getattr(client, kind, None) or getattr(client.MainspringClient, kind, None)
    if found is None or not attribute:
        return found is not None
    return is_dataclass(found) and attribute in {field.name for field in fields(found)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].replace(" ", "-"))
def test_every_name_of_a_row_is_there(row: list[str]) -> None:
    feature, api, command, sdk, tests = row
    assert feature
    assert quoted(api), "a feature is in the API"
    assert set(quoted(api)) <= names_of_the_api()
    known = options_by_command()
    for line in quoted(command):
        words = line.split()
        assert set(words[2:]) <= known[" ".join(words[:2])], line
    assert [name for name in quoted(sdk) if not is_of_the_client(name)] == []
    links = re.findall(r"\]\(([^)]+)\)", tests)
    assert links, "a feature has a test that shows it"
    for link in links:
        assert (PAGE.parent / link).is_file(), link


def test_every_call_of_tasks_executions_and_namespaces_has_a_row() -> None:
    calls = {
        method.name
        for module in (task_service_pb2, execution_service_pb2, namespace_service_pb2)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert calls <= {name for row in ROWS for name in quoted(row[1])}
    commands = {command for command in options_by_command() if command.startswith(GROUPS)}
    assert commands <= {" ".join(line.split()[:2]) for row in ROWS for line in quoted(row[2])}
