"""What may import what: read from the source, transitively, so that a comment cannot lie about it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from schema.states import EventState, LinkState

ROOT = Path(__file__).parent.parent
OURS = ("schema", "webhook", "workers", "joinlog")
WORLDLY = {"flask", "redis", "rq", "sqlalchemy", "sqlmodel", "psycopg", "sqlite3", "alembic", "granian", "socket",
           "httpx2", "requests", "urllib", "subprocess"}  # fmt: skip
HARMLESS = {"urllib.parse"}  # it takes texts apart
PURE = (
    "schema.zoom", "schema.states", "schema.log_kinds", "schema.rows", "schema.known", "schema.change",
    "schema.reserved", "schema.addresses", "schema.own_events", "schema.alerts", "schema.accuracy",
    "webhook.signature", "webhook.tokens",
    "workers.core", "workers.notify.conditions", "workers.notify.telling",
    "joinlog.fakezoom.world", "joinlog.fakezoom.delivery", "joinlog.fakezoom.mix", "joinlog.fakezoom.truth",
    "joinlog.fakezoom.events", "joinlog.fakezoom.open_facts", "joinlog.fakezoom.api", "joinlog.fakezoom.standings",
)  # fmt: skip
MAY_IMPORT = {
    "schema": {"schema"},
    "webhook": {
        "webhook",
        "schema",
        "workers.queue",
        "workers.core.projection",
        "workers.core.ignored",
        "workers.zoom.endpoints",
        "workers.notify.conditions",
        "workers.notify.observation",
        "workers.core.preview",
    },
    "workers": {"workers", "schema"},
    "joinlog.fakezoom": {"joinlog.fakezoom"},
    "joinlog": {"joinlog", "schema", "webhook", "workers"},
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "base"}


def sources(*roots: str) -> list[Path]:
    return sorted(path for root in roots for path in (ROOT / root).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def path_of(module: str) -> Path | None:
    """The file of one of our modules; None for anybody else's, and for names inside a module."""
    for path in (ROOT / (module.replace(".", "/") + ".py"), ROOT / module.replace(".", "/") / "__init__.py"):
        if path.exists():
            return path
    return None


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def _at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`, which import nothing."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
            continue
        yield child
        yield from _at_run_time(child)


@cache
def imports_of(path: Path) -> frozenset[str]:
    """Every module a file imports, also inside functions; `from a import b` counts as a.b where that is a module."""
    found: set[str] = set()
    for node in _at_run_time(parsed(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                found.add(inner if path_of(inner) is not None else module)
    return frozenset(found)


def why_imports(module: str, wanted: set[str], seen: frozenset[str] = frozenset()) -> list[str] | None:
    """The chain of imports from one of our modules to any of the wanted packages; None when there is none."""
    path = path_of(module)
    if path is None or module in seen:
        return None
    for imported in sorted(imports_of(path)):
        if imported.partition(".")[0] in wanted and imported not in HARMLESS:
            return [module, imported]
        if imported.partition(".")[0] in OURS:
            chain = why_imports(imported, wanted, seen | {module})
            if chain is not None:
                return [module, *chain]
    return None


def modules_under(names: Iterable[str]) -> list[str]:
    """These modules; of a package all of it, so that a new module in `core/` is held to it as well."""
    found = []
    for name in names:
        folder = ROOT / name.replace(".", "/")
        found += [module_of(path) for path in sorted(folder.rglob("*.py"))] if folder.is_dir() else [name]
    return found


@pytest.mark.parametrize("module", modules_under(PURE))
def test_a_module_that_decides_does_not_touch_the_world(module: str) -> None:
    assert path_of(module) is not None, f"{module} is gone: take it off the list"
    chain = why_imports(module, WORLDLY)
    assert chain is None, " -> ".join(chain or [])


@pytest.mark.parametrize("path", sources(*OURS), ids=module_of)
def test_imports_go_one_way(path: Path) -> None:
    module = module_of(path)
    own = max((prefix for prefix in MAY_IMPORT if f"{module}.".startswith(f"{prefix}.")), key=len)
    if module == "joinlog.fakezoom.command":
        own = "joinlog"
    for imported in imports_of(path):
        if imported.partition(".")[0] in OURS:
            allowed = any(f"{imported}.".startswith(f"{prefix}.") for prefix in MAY_IMPORT[own])
            assert allowed, f"{module} imports {imported}"


def test_only_the_queue_knows_redis_and_rq_and_only_the_store_knows_drivers() -> None:
    owners = {
        "redis": {"workers.queue", "workers.jobs"},
        "rq": {"workers.queue", "workers.jobs"},
        "sqlite3": {"schema.store.engines", "schema.store.dialect", "schema.store.sqlite_file"},
        "psycopg": {"schema.store.dialect", "schema.store.bounded_connection", "schema.store.postgres_session"},
        "alembic": {"schema.migrate"},
    }
    for path in sources("schema", "webhook", "workers"):
        if "migrations" in path.parts:
            continue
        for imported in imports_of(path):
            allowed = owners.get(imported.partition(".")[0])
            assert allowed is None or module_of(path) in allowed, f"{module_of(path)} imports {imported}"


def test_pages_find_the_parts_of_the_process_in_one_place() -> None:
    found = {module_of(path) for path in sources(*OURS, "tests") if ".extensions[" in path.read_text()}
    assert found == {"webhook.parts", "tests.test_architecture"}


def test_only_the_dialect_knows_which_database_it_is() -> None:
    names = re.compile(r"""is_postgres|dialect\.name|get_backend_name|["'](?:postgresql|sqlite)["']""")
    for path in sources(*OURS):
        if module_of(path) != "schema.store.dialect" and "migrations" not in path.parts:
            assert names.search(path.read_text()) is None, module_of(path)


def test_whatever_an_event_can_do_wrong_ends_in_exactly_one_place() -> None:
    broad = {"Exception", "BaseException"}
    found = []
    for path in sources(*OURS):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler):
                names = {ast.unparse(part) for part in ast.walk(node.type)} if node.type else {"Exception"}
                if names & broad:
                    found.append(f"{module_of(path)}:{node.lineno}")
    assert [place.partition(":")[0] for place in found] == ["workers.drain"], found


@pytest.mark.parametrize("path", sources(*OURS, "tests"), ids=str)
def test_no_module_has_a_vague_name(path: Path) -> None:
    words = set(path.stem.split("_")) | set(path.parent.name.split("_"))
    assert not words & VAGUE


@pytest.mark.parametrize("path", sources(*OURS), ids=module_of)
def test_every_module_and_public_function_says_what_it_is(path: Path) -> None:
    tree = parsed(path)
    if "versions" in path.parts:
        return
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), f"{node.name} has no docstring"


# --- the document -----------------------------------------------------------------------------------------------

DOCUMENT = (ROOT / "ARCHITECTURE.md").read_text()


def rows_under(title: str) -> list[list[str]]:
    """The cells of the tables of one section."""
    section = DOCUMENT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_document_lists_every_module_and_no_other() -> None:
    listed = {name for row in rows_under("The floor plan") for name in re.findall(r"`([a-z_.]+)`", row[0])}
    assert [name for name in sorted(listed) if path_of(name) is None] == []
    packages = {"schema.store", "webhook.pages", "joinlog.fakezoom"}  # listed as a whole
    modules = {module_of(path) for path in sources(*OURS) if "migrations" not in path.parts} - set(OURS)
    missing = {m for m in modules - listed if not any(m.startswith(f"{package}.") for package in packages)}
    assert missing == {"joinlog.__main__"}


def test_the_document_says_truly_which_modules_are_pure() -> None:
    for first, *_ in rows_under("The floor plan"):
        if first.endswith("(pure)"):
            for module in re.findall(r"`([a-z_.]+)`", first):
                assert why_imports(module, WORLDLY) is None, module


def test_the_document_explains_every_state() -> None:
    explained = {row[0].strip("`") for row in rows_under("States")} - {"state"}
    assert explained == {state.value for state in EventState}
    section = DOCUMENT.partition("\n## States\n")[2].partition("\n## ")[0]
    assert [state.value for state in LinkState if f"`{state.value}`" not in section] == []


def test_the_document_states_every_limit_as_it_is() -> None:
    stated = [(row[0].strip("`"), row[1]) for row in rows_under("Limits")[1:]]
    assert len(stated) > 10
    for name, value in stated:
        module, _, constant = name.rpartition(".")
        assert str(getattr(import_module(module), constant)) == value, name


@pytest.mark.parametrize("process", ["webhook.app", "webhook.server", "workers.main", "workers.clock"])
def test_no_process_that_stays_carries_alembic(process: str) -> None:
    chain = why_imports(process, {"alembic"})
    assert chain is None, " -> ".join(chain or [])


def test_nothing_unpickles() -> None:
    for path in sources(*OURS):
        assert not {"pickle", "marshal", "shelve", "dill"} & imports_of(path), module_of(path)


def test_the_checks_have_teeth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_imports("workers.drain", {"sqlalchemy"}) is not None
    assert why_imports("webhook.app", {"flask"}) == ["webhook.app", "flask"]


def test_a_process_on_sqlite_does_not_load_the_driver_of_postgres() -> None:
    """It costs 10 MiB and 75 ms."""
    program = "import sys, webhook.app, workers.main, workers.clock; sys.exit('psycopg' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
