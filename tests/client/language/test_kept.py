"""What is kept of a writer's model: opened instead of the model, made anew where it is not whole."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sottovoce.client.language import kept
from sottovoce.client.language.kept import Kept, open_kept
from sottovoce.client.language.weights import Model, open_model

torch = pytest.importorskip("torch")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "writer"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The models that were opened to be made ready."""
    opened: list[Path] = []

    def noted(path: Path) -> AbstractContextManager[Model]:
        opened.append(path)
        return open_model(path)

    monkeypatch.setattr(kept, "open_model", noted)
    return opened


def says(model: Kept) -> bytes:
    from sottovoce.client.language.decoder import Decoder

    tokens = model.tokenizer.encode("w3 w14 w15 w9").ids
    return bytes(Decoder(model.shape, model.read, longest=64).read(tokens).numpy().tobytes())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_kept_model_says_the_same_and_is_not_made_again(folder: Path, cache: Path, made: list[Path]) -> None:
    first = says(open_kept(folder))
    assert says(open_kept(folder)) == first
    assert made == [folder]
    assert len(list(cache.iterdir())) == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_another_model_is_kept_beside_it(folder: Path, cache: Path, made: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    config = other / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-05', '"rms_norm_eps": 0.1'))
    assert says(open_kept(folder)) != says(open_kept(other))
    assert made == [folder, other]
    assert len(list(cache.iterdir())) == 2


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("harm", ["cut", "empty", "changed weight", "changed words"])
def test_what_is_not_whole_is_made_anew(folder: Path, cache: Path, made: list[Path], harm: str) -> None:
    first = says(open_kept(folder))
    (file,) = cache.iterdir()
    content = file.read_bytes()
    if harm == "changed weight":
        content = content[:-100] + bytes([content[-100] ^ 1]) + content[-99:]
    if harm == "changed words":
        content = content.replace(b"w14", b"x14", 1)
    file.write_bytes({"cut": content[:-10], "empty": b""}.get(harm, content))
    assert says(open_kept(folder)) == first
    assert made == [folder, folder]
    says(open_kept(folder))
    assert made == [folder, folder]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_where_nothing_can_be_kept_the_model_runs_all_the_same(folder: Path, cache: Path, made: list[Path]) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text("no folder")
    assert says(open_kept(folder)) == says(open_kept(folder))
    assert made == [folder, folder]
