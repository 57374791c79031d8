"""The wheel, installed into an empty environment beside a user's project that has `server/` and `executor/` folders."""

import asyncio
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

USER_PROGRAM = """
import importlib.util, pathlib, sys

import executor, server
assert server.WHOSE == executor.WHOSE == "mine"

import mainspring.client, mainspring.executor, mainspring.v1
from mainspring.v1 import executor_service_pb2_grpc, task_pb2, task_service_pb2_grpc

assert task_pb2.Task.DESCRIPTOR.full_name == "mainspring.v1.Task"
for module in (mainspring.client, mainspring.executor, task_pb2, task_service_pb2_grpc):
    assert pathlib.Path(module.__file__).is_relative_to(sys.prefix), module.__file__
for extra in ("aiomysql", "kazoo", "croniter", "typer"):
    assert importlib.util.find_spec(extra) is None, extra
print("fine")
"""


def run(*command: str | Path, folder: Path) -> str:
    environment = {
        key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, folder=ROOT)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def user_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the base install and nothing else, in the versions of the lock file."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    pins = re.findall(
        r"^[a-zA-Z0-9._-]+==\S+(?: ; [^\\\n]+)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE
    )
    (folder / "constraints.txt").write_text("\n".join(pins) + "\n")
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run(
        *pip,
        "install",
        "--quiet",
        "--only-binary=:all:",
        "-c",
        folder / "constraints.txt",
        wheel,
        folder=folder,
    )
    run(*pip, "check", folder=folder)
    return python


def test_everything_in_the_wheel_is_below_mainspring(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mainspring"}
    assert "mainspring/__init__.py" not in names, "a namespace package has none"
    assert not [name for name in names if "__pycache__" in name or name.startswith("mainspring/tests")]
    for expected in (
        "mainspring/v1/task_pb2.pyi",
        "mainspring/v1/task.proto",
        "mainspring/client/py.typed",
        "mainspring/executor/__init__.py",
        "mainspring/server/persistence/migrations/0001_core_tables.sql",
        "mainspring/testing/child_launcher.py",
    ):
        assert expected in names


def test_a_project_with_folders_of_the_same_names_does_not_collide(user_python: Path, tmp_path: Path) -> None:
    for package in ("server", "executor"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text('WHOSE = "mine"\n')
    (tmp_path / "program.py").write_text(USER_PROGRAM)
    assert run(user_python, "program.py", folder=tmp_path).strip() == "fine"


async def test_the_example_of_the_readme_runs_on_the_base_install(
    user_python: Path, node: Any, tmp_path: Path
) -> None:
    [program] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "program.py").write_text(
        f"import os\nos.environ['MAINSPRING_ADDRESS'] = '{node.address}'\n{program}"
    )
    said = await asyncio.to_thread(run, user_python, "program.py", folder=tmp_path)
    assert said.splitlines()[-1].startswith("SUCCEEDED hello world, you were due at "), said
