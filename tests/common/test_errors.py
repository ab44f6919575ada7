"""The public errors, their tree and their exit codes, locked; each says in one line what was wrong."""

from __future__ import annotations

import inspect
import pickle

import pytest

from sottovoce.common import errors

TREE = {
    "SottovoceError": ("Exception", 1),
    "InputError": ("SottovoceError", 2),
    "ConfigError": ("InputError", 2),
    "DataError": ("InputError", 2),
    "EncoderError": ("InputError", 2),
    "BudgetSpentError": ("SottovoceError", 3),
    "FederationError": ("SottovoceError", 4),
    "UpdateRefusedError": ("FederationError", 4),
    "RequestRefusedError": ("FederationError", 4),
    "LedgerError": ("FederationError", 4),
}


def test_the_tree_is_as_published() -> None:
    found = {
        name: (kind.__base__.__name__, kind.exit_code)
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.SottovoceError) and kind.__base__ is not None
    }
    assert found == TREE


def test_the_docstring_shows_every_error() -> None:
    assert all(name in str(errors.__doc__) for name in TREE)


def test_a_setting_is_named_with_its_value_and_range() -> None:
    error = errors.ConfigError("privacy.epsilon", "many\nlines", "a number above zero")
    assert str(error) == r"privacy.epsilon = 'many\nlines': expected a number above zero"
    assert error.name == "privacy.epsilon"


@pytest.mark.parametrize(("line", "text"), [(None, "u.data: broken"), (7, "u.data:7: broken"), (0, "u.data:0: broken")])
def test_a_file_is_named_with_its_line(line: int | None, text: str) -> None:
    error = errors.DataError("u.data", "broken", line)
    assert str(error) == text
    assert error.line == line


@pytest.mark.parametrize(
    "error",
    [
        errors.ConfigError("seed", -1, "0 or more"),
        errors.DataError("u.data", "broken", 7),
        errors.EncoderError("no encoder"),
        errors.LedgerError("another plan"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_comes_whole_out_of_another_process(error: errors.SottovoceError) -> None:
    """Simulated nodes, and the encoder's child, hand their errors over by pickle."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
