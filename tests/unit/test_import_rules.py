"""Who may import whom: every import statement of every source root, against the rules of the architecture.

The contracts in pyproject.toml follow chains of imports; this reads each statement, inside functions and under
TYPE_CHECKING too, knows lists of what is allowed, and knows what a pure module must not reach for.
"""

import ast
import sys
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("protos", "server", "shard_manager", "executor", "client_sdk", "cli", "testing", "dev")

S = "mainspring.server"
M = "mainspring.shard_manager"
E = "mainspring.executor"
C = "mainspring.client"

CORE = (f"{S}.core", f"{S}.errors")
OBSERVED = (f"{S}.observability", "structlog")
PERSISTENCE = (
    *CORE,
    *OBSERVED,
    f"{S}.persistence.store",
    f"{S}.persistence.migrations",
    f"{M}.handover",
    f"{M}.lease",
    f"{M}.hashing",
)
ENGINE = (f"{S}.engine", *CORE, *OBSERVED, f"{S}.persistence.store", f"{S}.dispatch", f"{S}.clock", M)
GRPC = ("mainspring.v1", "grpc", "grpc_health", "grpc_reflection")
S_VERSION = f"{S}:"
"""The server's package itself, for its version, and nothing below it."""

# What a module may import of Mainspring and of other projects; the standard library is free. The first scope that holds
# the module counts.
ALLOWED: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("mainspring.v1", ("mainspring.v1", "google.protobuf", "grpc")),
    (f"{C}.backoff", ()),
    # What `pip install mainspring` gives to pytest; loaded by pytest alone.
    ("mainspring.pytest_plugin", (f"{C}.testing", f"{C}.dev", "pytest", "pytest_asyncio")),
    (f"{C}.testing", (C, "mainspring.v1", "grpc", "pytest")),
    (C, (C, "mainspring.v1", "google.protobuf", "google.rpc", "grpc")),
    (f"{E}.grpc_transport", (E, C, "mainspring.v1", "grpc")),
    (E, (E, C, "mainspring.v1", "structlog", "uvloop")),
    (f"{M}.zookeeper*", (M, "kazoo", "structlog")),
    (M, (M, "structlog")),
    (f"{S}.core.cron_fields", (*CORE, "croniter")),
    (f"{S}.core.next_fire", (*CORE, "croniter")),
    (f"{S}.core.time_zone", (*CORE, "tzdata")),
    (f"{S}.core", CORE),
    (f"{S}.errors", ()),
    (f"{S}.clock", (*CORE, "structlog")),
    (f"{S}.observability", (f"{S}.observability", "prometheus_client", "structlog")),
    (f"{S}.dispatch", (f"{S}.dispatch", *CORE, *OBSERVED)),
    (f"{S}.persistence.mysql", (f"{S}.persistence.mysql", *PERSISTENCE, "aiomysql", "pymysql")),
    (f"{S}.persistence.sqlite", (f"{S}.persistence.sqlite", *PERSISTENCE)),
    (f"{S}.persistence", PERSISTENCE),
    (f"{S}.engine", ENGINE),
    (f"{S}.rpc", (f"{S}.rpc", *ENGINE, *GRPC, "google.protobuf", "google.rpc", "grpc_status")),
    (f"{S}.config", (f"{S}.engine.settings", f"{S}.errors", f"{S}.rpc.validation")),
    (f"{S}.clock_watch", (*CORE, *OBSERVED)),
    (f"{S}.duty_watch", (f"{S}.clock_watch", *ENGINE)),
    (f"{S}.coordinator_watch", ENGINE),
    # The composition root: of these two only `app` knows which database and which coordinator there are.
    (
        f"{S}.node",
        (S_VERSION, f"{S}.config", f"{S}.coordinator_watch", f"{S}.duty_watch", f"{S}.rpc", *ENGINE, *GRPC),
    ),
    (f"{S}.app", (S, M, *GRPC, "prometheus_client", "structlog")),
    (f"{S}.__main__", (f"{S}.app", f"{S}.config", f"{S}.errors", "uvloop")),
    (S, ()),
    (
        "mainspring.dev",
        (
            "mainspring.dev",
            "mainspring.testing",
            S,
            M,
            E,
            C,
            *GRPC,
            "google",
            "structlog",
            "rich",
            "matplotlib",
            "uvloop",
        ),
    ),
    ("mainspring.cli", ("mainspring.cli", "mainspring.dev", C, E, S, "typer", "rich", "uvloop")),
)
UNLIMITED = ("mainspring.testing",)
# Parts that stand behind a protocol, and the only ones that may know them.
HIDDEN = (
    (f"{M}.zookeeper*", (f"{M}.zookeeper*", f"{S}.app")),
    (f"{S}.persistence.mysql", (f"{S}.persistence.mysql", f"{S}.app", "mainspring.cli")),
    (f"{S}.persistence.sqlite", (f"{S}.persistence.sqlite", "mainspring.dev")),
)

PURE = (
    f"{S}.core",
    f"{M}.hashing",
    f"{M}.assignment",
    f"{M}.ownership",
    f"{M}.compatibility",
    f"{M}.cluster_entry",
    f"{M}.handover",
    f"{M}.lease",
    f"{E}.credit",
    f"{E}.attempts",
    f"{C}.backoff",
)
IMPURE_MODULES = frozenset(
    {"asyncio", "concurrent", "io", "multiprocessing", "os", "queue", "secrets", "select", "signal", "socket"}
    | {"subprocess", "tempfile", "threading", "time", "uuid"}
)
WALL_CLOCK = frozenset(
    {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
)


@dataclass
class Module:
    """One source file.

    Attributes:
        imports: Modules named by its import statements, with the line of each.
        eager_imports: Those among them that run when the module is imported.
        global_state: Uses of the wall clock or of the random module's own state, with the line of each.
    """

    name: str
    imports: dict[str, int] = field(default_factory=dict)
    eager_imports: set[str] = field(default_factory=set)
    global_state: dict[str, int] = field(default_factory=dict)


def read_modules(root: Path) -> dict[str, Module]:
    """Every module of every source root, generated stubs left out."""
    files = {
        ".".join(path.relative_to(root / source).with_suffix("").parts).removesuffix(".__init__"): path
        for source in SOURCE_ROOTS
        for path in sorted((root / source).rglob("*.py"))
        if "_pb2" not in path.name
    }
    packages = {name.rpartition(".")[0] for name in files}
    return {name: read_module(name, path, files.keys() | packages) for name, path in files.items()}


def read_module(name: str, path: Path, known: AbstractSet[str]) -> Module:
    """What one file imports; `from a import b` names a.b where that is a module."""
    module = Module(name)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in ast.walk(tree):
        for imported in imported_by(node, known):
            module.imports.setdefault(imported, getattr(node, "lineno", 0))
    has_random = any(
        isinstance(node, ast.Import) and "random" in imported_by(node, known) for node in ast.walk(tree)
    )
    for node in eager_nodes(tree):
        module.eager_imports.update(imported_by(node, known))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            used = (node.value.id, node.attr)
            # A parameter may be called `random`: only the module of that name has state that all share.
            is_shared_random = used[0] == "random" and used[1] != "Random" and has_random
            if used in WALL_CLOCK or is_shared_random:
                module.global_state[".".join(used)] = node.lineno
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            names = (alias.name for alias in node.names if alias.name != "Random")
            module.global_state.update((f"random.{name}", node.lineno) for name in names)
    return module


def eager_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """What runs when the module is imported: nothing inside of functions, nothing under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")
        if not (is_for_types or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            yield child
            yield from eager_nodes(child)


def imported_by(node: ast.AST, known: AbstractSet[str]) -> Iterator[str]:
    """The modules that one statement names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = "." * node.level + (node.module or "")
        for alias in node.names:
            longer = f"{base}.{alias.name}"
            is_module = (
                longer in known or longer.startswith("mainspring.v1.") or base in ("google", "mainspring")
            )
            yield longer if is_module else base


def within(name: str, scope: str) -> bool:
    """Whether a module is this one or inside this package; `*` stands for more letters, `:` for nothing below."""
    return (
        f"{name}:" == scope
        or name == scope
        or name.startswith(f"{scope}.")
        or ("*" in scope and fnmatchcase(name, scope))
    )


def top_level(name: str) -> str:
    return ".".join(name.split(".")[:2])


def violations(modules: dict[str, Module]) -> list[str]:
    """Every breach of a rule, as a sentence."""
    return sorted([*_not_allowed(modules), *_impure(modules), *_cycles(modules), *_eager_commands(modules)])


def _not_allowed(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if any(within(module.name, scope) for scope in UNLIMITED):
            continue
        if module.name.count(".") == 0:
            yield f"{module.name}: the namespace has no module of its own"
            continue
        scope, allowed = next(
            ((scope, allowed) for scope, allowed in ALLOWED if within(module.name, scope)), ("", ())
        )
        if not scope:
            yield f"{module.name}: no rule says what it may import"
        for imported, line in module.imports.items():
            if imported.split(".")[0] in sys.stdlib_module_names and not imported.startswith("."):
                continue
            is_hidden = any(
                within(imported, part) and not any(within(module.name, user) for user in users)
                for part, users in HIDDEN
            )
            if is_hidden or not any(within(imported, each) for each in allowed):
                yield f"{module.name}:{line} imports {imported}"


def _impure(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if not any(within(module.name, scope) for scope in PURE):
            continue
        for imported, line in module.imports.items():
            if imported.split(".")[0] in IMPURE_MODULES:
                yield f"{module.name}:{line} is pure and imports {imported}"
        for used, line in module.global_state.items():
            yield f"{module.name}:{line} is pure and uses {used}"


def _cycles(modules: dict[str, Module]) -> Iterator[str]:
    for depth, what in ((2, "top-level packages"), (3, "packages of the server")):
        graph: dict[str, set[str]] = {}
        for module in modules.values():
            for imported in module.imports:
                here, there = (".".join(name.split(".")[:depth]) for name in (module.name, imported))
                is_inside = depth == 2 or (here.startswith(f"{S}.") and there.startswith(f"{S}."))
                if there.startswith("mainspring.") and here != there and is_inside:
                    graph.setdefault(here, set()).add(there)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            yield f"{what} import each other: {' -> '.join(error.args[1])}"


def _eager_commands(modules: dict[str, Module]) -> Iterator[str]:
    """The command starts where the server's dependencies are missing, and starts fast."""
    for module in modules.values():
        if within(module.name, "mainspring.cli"):
            for imported in module.eager_imports:
                if within(imported, S) or within(imported, E):
                    yield f"{module.name}:{module.imports[imported]} imports {imported} outside of a command"


@pytest.fixture(scope="module")
def modules() -> dict[str, Module]:
    return read_modules(ROOT)


def test_every_import_is_allowed(modules: dict[str, Module]) -> None:
    assert violations(modules) == []


def test_the_graph_is_not_empty(modules: dict[str, Module]) -> None:
    """Guards the test itself: a renamed folder must not make the rules vacuous."""
    assert {top_level(name) for name in modules} >= {C, E, M, S, "mainspring.cli", "mainspring.testing"}
    for scope in (*PURE, *(scope for scope, _ in ALLOWED if scope not in ("mainspring.v1", f"{S}.__main__"))):
        assert any(within(name, scope) for name in modules), f"no module is {scope}"


def test_the_namespace_package_has_no_init() -> None:
    assert [path for source in SOURCE_ROOTS for path in (ROOT / source).glob("mainspring/__init__.py")] == []


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        (f"{C}.new", f"import {E}.job", f"{C}.new:1 imports {E}.job"),
        (f"{E}.new", f"from {S} import clock", f"{E}.new:1 imports {S}.clock"),
        (f"{E}.new", "import grpc.aio", f"{E}.new:1 imports grpc.aio"),
        (f"{M}.new", f"from {S}.errors import NotFound", f"{M}.new:1 imports {S}.errors"),
        (f"{M}.new", "import kazoo.client", f"{M}.new:1 imports kazoo.client"),
        (f"{M}.lease", "\nimport asyncio", f"{M}.lease:2 is pure and imports asyncio"),
        (f"{S}.core.new", "from croniter import croniter", f"{S}.core.new:1 imports croniter"),
        (f"{S}.core.new", "import time", f"{S}.core.new:1 is pure and imports time"),
        (f"{S}.core.new", "import random\nrandom.random()", f"{S}.core.new:2 is pure and uses random.random"),
        (f"{S}.core.new", "from random import choice", f"{S}.core.new:1 is pure and uses random.choice"),
        (f"{S}.core.new", "datetime.now(UTC)", f"{S}.core.new:1 is pure and uses datetime.now"),
        (f"{S}.core.new", f"import {M}.hashing", f"{S}.core.new:1 imports {M}.hashing"),
        (
            f"{S}.dispatch.new",
            "import mainspring.v1.task_pb2",
            f"{S}.dispatch.new:1 imports mainspring.v1.task_pb2",
        ),
        (f"{S}.engine.new", f"from {S} import rpc", f"{S}.engine.new:1 imports {S}.rpc"),
        (
            f"{S}.engine.new",
            f"def late():\n    from {S}.persistence.mysql.store import MySQLStore",
            f"{S}.engine.new:2 imports {S}.persistence.mysql.store",
        ),
        (f"{S}.persistence.new", "import aiomysql", f"{S}.persistence.new:1 imports aiomysql"),
        (f"{S}.rpc.new", "import pymysql", f"{S}.rpc.new:1 imports pymysql"),
        (f"{S}.engine.new", f"import {M}.zookeeper", f"{S}.engine.new:1 imports {M}.zookeeper"),
        (
            f"{S}.persistence.store",
            f"import {S}.persistence.mysql",
            f"{S}.persistence.store:1 imports {S}.persistence.mysql",
        ),
        (f"{S}.rpc.new", "from . import status", f"{S}.rpc.new:1 imports ."),
        (
            "mainspring.cli.new",
            "import mainspring.testing",
            "mainspring.cli.new:1 imports mainspring.testing",
        ),
        (
            "mainspring.cli.new",
            f"import {S}.app",
            f"mainspring.cli.new:1 imports {S}.app outside of a command",
        ),
        ("mainspring.stray", "", "mainspring.stray: no rule says what it may import"),
        ("mainspring", "", "mainspring: the namespace has no module of its own"),
    ],
)
def test_a_planted_violation_is_found(name: str, source: str, complaint: str, tmp_path: Path) -> None:
    root = tmp_path / "protos"  # any source root: what counts is the name of the module
    file = root.joinpath(*name.split(".")).with_suffix(".py")
    if name == "mainspring":
        file = root / name / "__init__.py"
    file.parent.mkdir(parents=True)
    file.write_text(source)
    for other in (f"{S}.rpc", f"{S}.clock"):
        neighbour = root.joinpath(*other.split(".")) / "__init__.py"
        neighbour.parent.mkdir(parents=True, exist_ok=True)
        neighbour.touch()
    assert violations(read_modules(tmp_path)) == [complaint]


def test_planted_cycles_are_found(tmp_path: Path) -> None:
    planted = {
        f"{S}.engine.a": f"import {S}.dispatch.b",
        f"{S}.dispatch.b": f"import {S}.engine.a",
        f"{C}.a": f"import {E}.a",
        f"{E}.a": f"import {C}.a",
    }
    for name, source in planted.items():
        file = (tmp_path / "server").joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True)
        file.write_text(source)
    found = violations(read_modules(tmp_path))
    assert any(sentence.startswith("top-level packages import each other") for sentence in found)
    assert any(sentence.startswith("packages of the server import each other") for sentence in found)
