"""--help: every command has a sentence and examples that can be copied, and every setting of a node has its option."""

import inspect
import re
from dataclasses import MISSING, fields
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from mainspring.cli.app import app
from mainspring.cli.durations import parse_duration
from mainspring.cli.server import server
from mainspring.server.config import ServerConfig

COMMANDS = [
    ["dev"],
    ["simulate"],
    ["server"],
    ["executor"],
    ["migrate"],
    *(
        ["task", name]
        for name in ("create", "create-many", "preview", "get", "list", "count", "update", "pause", "resume")
    ),
    *(["task", name] for name in ("cancel", "delete", "trigger", "backfill", "change")),
    *(
        ["execution", name]
        for name in ("list", "get", "explain", "watch", "slo", "cancel", "retry", "adjust")
    ),
    *(["namespace", name] for name in ("create", "update", "get", "list")),
    *(["cluster", name] for name in ("nodes", "partitions", "handovers", "drain", "undrain")),
]


@pytest.fixture
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 200)


def help_of(command: list[str]) -> str:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.usefixtures("wide_terminal")
def test_help_has_a_sentence_and_one_to_three_examples_that_fit_a_terminal(command: list[str]) -> None:
    text = help_of(command)
    sentence = text.split("\n \n")[0]
    assert "." in sentence
    examples = re.findall(r"^ +\$ (.+?) *$", text, re.MULTILINE)
    own = [example for example in examples if example.startswith("mainspring " + " ".join(command))]
    assert 1 <= len(own) <= 3, text
    assert max(map(len, examples)) <= 74, "longer ones are wrapped and cannot be copied"


def test_the_list_above_is_every_command() -> None:
    listed = [[command.callback.__name__] for command in app.registered_commands if command.callback]
    for group in app.registered_groups:
        assert group.name is not None
        assert group.typer_instance is not None
        listed += [[group.name, str(command.name)] for command in group.typer_instance.registered_commands]
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.usefixtures("wide_terminal")
def test_every_setting_of_a_node_has_an_option_and_the_default_that_help_says() -> None:
    parameters = inspect.signature(server, eval_str=True).parameters
    for field in fields(ServerConfig):
        if field.name == "limits":
            assert "max_payload_bytes" in parameters
            continue
        option = field.name.removesuffix("_s")
        assert option in parameters, f"ServerConfig.{field.name} has no option"
        shown = parameters[option].annotation.__metadata__[0].show_default
        if isinstance(shown, str) and isinstance(field.default, float):
            assert parse_duration(shown) == timedelta(seconds=field.default)
        elif option == "listen":
            assert shown == field.default
        elif field.default is MISSING and field.default_factory is MISSING:
            assert "Required" in parameters[option].annotation.__metadata__[0].help


def test_environment_variables_are_named_in_the_help_of_the_server() -> None:
    text = re.sub(r"[\s│]+", "", help_of(["server"]))
    for name in ("MYSQL_URL", "ZOOKEEPER", "LISTEN", "ADVERTISE", "NAME", "LOG_LEVEL", "LOG_FORMAT"):
        assert f"[envvar:MAINSPRING_{name}]" in text


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"mainspring \S+\n", result.stdout)
