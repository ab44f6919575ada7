"""Imports point one way, a device needs NumPy alone, and some words never stand in the source."""

from __future__ import annotations

import ast
import tokenize
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "common": {"common"},
    "client": {"client", "common"},
    "server": {"server", "common"},
    "simulations": {"simulations", "client", "server", "common"},
    "cli": {"cli", "simulations", "client", "server", "common"},
}
FILES = [path for folder in MAY_IMPORT for path in sorted((ROOT / folder).rglob("*.py"))]
NAMES = [path.relative_to(ROOT).as_posix() for path in FILES]
HEAVY = {
    *("torch", "transformers", "sentence_transformers", "flwr", "opacus", "scipy", "sklearn", "dp_accounting"),
    *("ray", "pandas", "lenskit", "pydantic", "typer", "rich"),
}


@dataclass(frozen=True)
class Import:
    """One import statement, wherever it stands in a file."""

    module: str
    line: int
    for_types_only: bool


def imports_of(tree: ast.Module) -> Iterator[Import]:
    """All imports, also those within functions; what stands under `if TYPE_CHECKING` is marked."""
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
        for statement in node.body
        for child in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = "." * node.level + (node.module or "")
            modules = [named, *(f"{named}.{alias.name}" for alias in node.names)]
        else:
            continue
        for module in modules:
            yield Import(module, node.lineno, node in for_types)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def file_of(module: str) -> Path | None:
    """The file of one of our modules."""
    parts = module.split(".")
    if parts[0] != "sottovoce" or len(parts) < 2:
        return None
    place = ROOT.joinpath(*parts[1:])
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def closure(module: str) -> tuple[set[str], set[str]]:
    """Every module of ours that `module` can bring in when it runs, and every foreign package that those import."""
    ours, foreign, waiting = set(), set(), [module]
    while waiting:
        name = waiting.pop()
        path = file_of(name)
        if path is None or name in ours:
            continue
        ours.add(name)
        waiting += [name.rpartition(".")[0]]
        for found in imports_of(parsed(path)):
            if not found.for_types_only:
                waiting.append(found.module)
                foreign.add(found.module.partition(".")[0])
    return ours, foreign


def test_the_walk_sees_every_kind_of_import() -> None:
    source = """
import a.b
from c import d
if TYPE_CHECKING:
    from e import f
def later():
    from g import h
try:
    import i
except ImportError:
    pass
"""
    found = {(each.module, each.for_types_only) for each in imports_of(ast.parse(source))}
    expected = {("a.b", False), ("c", False), ("e", True), ("g", False), ("i", False)}
    assert expected <= found


def test_every_folder_is_there() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", NAMES)
def test_imports_point_one_way(name: str) -> None:
    """Types count too: what may not be imported may not be named."""
    allowed = MAY_IMPORT[name.partition("/")[0]]
    for found in imports_of(parsed(ROOT / name)):
        assert not found.module.startswith("."), f"{name}:{found.line}: relative import"
        package, _, rest = found.module.partition(".")
        assert package not in MAY_IMPORT, f"{name}:{found.line}: {package} is not installed under that name"
        if package == "sottovoce" and rest:
            assert rest.partition(".")[0] in allowed, f"{name}:{found.line}: imports {found.module}"
        assert package not in ("tests", "benchmarks"), f"{name}:{found.line}: imports {found.module}"


def test_recommending_needs_numpy_and_safetensors_alone() -> None:
    ours, foreign = closure("sottovoce.client.recommender")
    assert {"sottovoce.common.bundle", "sottovoce.common.scoring", "sottovoce.client"} <= ours
    assert not foreign & HEAVY
    assert "numpy" in foreign


def test_the_closure_finds_what_a_function_imports_late() -> None:
    """`common.vectors` imports scikit-learn within functions: the walk must see it."""
    assert "sklearn" in closure("sottovoce.common.vectors")[1]
    assert {"torch", "opacus"} <= closure("sottovoce.client.trainer")[1]


def test_the_command_line_starts_without_what_a_verb_needs() -> None:
    """`sottovoce --help` answers where only the recommender is installed: verbs import what they need when they run."""
    waiting, seen = ["sottovoce.cli.main"], set()
    while waiting:
        path = file_of(waiting.pop())
        if path is None or path in seen:
            continue
        seen.add(path)
        tree = parsed(path)
        top = ast.Module([node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        for found in imports_of(top):
            assert found.module.partition(".")[0] not in HEAVY - {"typer", "rich", "pydantic"}, (path, found)
            waiting.append(found.module)
    assert ROOT / "cli" / "simulate.py" in seen


@pytest.mark.parametrize("name", NAMES)
def test_no_assert_no_eval_no_pickle(name: str) -> None:
    tree = parsed(ROOT / name)
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Assert), f"{name}:{node.lineno}: gone under `python -O`"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec", "compile"), f"{name}:{node.lineno}: {node.func.id}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            assert ast.unparse(node.value) == "False", f"{name}: pickled arrays"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
            assert any(word.arg == "allow_pickle" for word in node.keywords), f"{name}:{node.lineno}: say it"
    roots = {found.module.partition(".")[0] for found in imports_of(tree)}
    assert not roots & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}, name
    with (ROOT / name).open("rb") as file:
        words = {token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME}
    assert not words & {"pickle", "unpickle"}, name


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_every_package_is_installed_with_its_types(folder: str) -> None:
    assert (ROOT / folder / "py.typed").read_bytes() == b""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["package-dir"][f"sottovoce.{folder}"] == folder
    assert "py.typed" in setuptools["package-data"]["*"]
    for path in (ROOT / folder).rglob("__init__.py"):
        package = ".".join(("sottovoce", *path.relative_to(ROOT).parent.parts))
        assert package in setuptools["packages"], f"{package} would be left out of the wheel"


def test_every_folder_of_source_is_a_package() -> None:
    for path in FILES:
        assert (path.parent / "__init__.py").is_file(), path


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_is_for(name: str) -> None:
    assert ast.get_docstring(parsed(ROOT / name)), name
