"""A bundle is read as it was written, or refused; a failed write leaves the previous one in its place."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sottovoce.common.bundle import FILES, Bundle, load_bundle, replace_card, write_bundle
from sottovoce.common.catalogue import Catalogue
from sottovoce.common.errors import DataError
from sottovoce.common.quantised import Quantised
from sottovoce.common.scoring import Head, HeadShape, load_arrays, save_arrays
from sottovoce.common.signature import SigningKey, sign_bundle, verify_bundle

ITEMS, DIMENSION = 4, 3
CATALOGUE = Catalogue(
    ("a", "b", "c", "d"), ("A", "B", "C", "D"), ("a.", "b.", "c.", "d."), {"year": ("1", "2", "3", "")}
)
SHAPE = HeadShape(ITEMS, DIMENSION, 2, 1, 4.0)
HEAD = Head(
    SHAPE,
    np.array([0.5, -1, 2, 0], np.float32),
    {"V": np.arange(8, dtype=np.float32).reshape(4, 2), "W": np.array([[0.25]], np.float32)},
)
QUANTISED_HEAD: dict[str, Any] = {
    "b": HEAD.b,
    "V": np.ones((ITEMS, 2), np.int8),
    "V.scale": np.ones(ITEMS, np.float32),
    "W": HEAD.parameters["W"],
}
FACTS: dict[str, Any] = {"run": "run-1", "state": "items", "privacy": {"epsilon": 1.0, "delta": 1e-5}}
CARD = "# Model card\n\nε = 1 – für alle.\n"


def write(folder: Path, head: Head = HEAD, card: str = CARD) -> Path:
    items = folder.with_name("items.safetensors")
    vectors = np.random.default_rng(0).normal(size=(ITEMS, DIMENSION)).astype(np.float32)
    save_arrays(items, {"vectors": vectors, "rotation": np.eye(3, dtype=np.float32)}, {"encoder": "minilm"})
    write_bundle(folder, CATALOGUE, items, head, card, FACTS)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "bundle")


def same(one: Bundle, other: Bundle) -> bool:
    heads = one.model.head, other.model.head
    return (
        one.catalogue == other.catalogue
        and np.array_equal(one.model.vectors, other.model.vectors)
        and heads[0].shape == heads[1].shape
        and np.array_equal(heads[0].b, heads[1].b)
        and all(np.array_equal(heads[0].parameters[name], heads[1].parameters[name]) for name in ("V", "W"))
    )


def test_what_is_written_is_read_again(folder: Path) -> None:
    read = load_bundle(folder)
    assert read.catalogue == CATALOGUE
    assert read.model.head.shape == SHAPE
    np.testing.assert_array_equal(read.model.head.b, HEAD.b)
    np.testing.assert_array_equal(read.model.head.parameters["W"], HEAD.parameters["W"])
    np.testing.assert_allclose(read.model.head.parameters["V"], HEAD.parameters["V"], atol=7 / 127)
    vectors = np.asarray(load_arrays(folder.with_name("items.safetensors"))["vectors"], dtype=np.float32)
    assert np.abs(read.model.history_vectors - HEAD.item_vectors(vectors)).max() < 1e-3
    assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == CARD
    assert {key: read.manifest[key] for key in FACTS} == FACTS
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FILES, "manifest.json"])


def test_the_manifest_names_every_other_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != "manifest.json"}
    assert manifest["sha256"] == found


def test_another_card_is_all_that_changes(folder: Path) -> None:
    before = load_bundle(folder)
    replace_card(folder, "# Model card\n\nε = 2.\n")
    after = load_bundle(folder)
    assert same(before, after)
    assert (folder / "MODEL_CARD.md").read_text(encoding="utf-8") == "# Model card\n\nε = 2.\n"
    assert {**after.manifest, "sha256": None} == {**before.manifest, "sha256": None}
    changed = {name for name in FILES if after.manifest["sha256"][name] != before.manifest["sha256"][name]}
    assert changed == {"MODEL_CARD.md"}


def test_a_signed_bundle_keeps_its_card(folder: Path) -> None:
    signed = sign_bundle(folder, key := SigningKey.generate(), 1, "f")
    with pytest.raises(DataError, match=r"signature\.json: a bundle that was signed"):
        replace_card(folder, "# Model card\n")
    assert verify_bundle(folder, key.public) == signed


def test_an_untrained_head_is_published_too(tmp_path: Path) -> None:
    head = Head.untrained(dataclasses.replace(SHAPE, rank=0, mix=0), HEAD.b)
    assert load_bundle(write(tmp_path / "bundle", head)).model.head.parameters == {}


@pytest.mark.parametrize("name", FILES)
def test_a_change_to_any_byte_is_refused(folder: Path, name: str) -> None:
    whole = (folder / name).read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (folder / name).write_bytes(bytes(damaged))
        with pytest.raises(DataError, match=f"{name}: missing, or not the file"):
            load_bundle(folder)


@pytest.mark.parametrize("change", [lambda whole: whole[:-1], lambda whole: whole + b"\n", lambda _: b""])
@pytest.mark.parametrize("name", FILES)
def test_a_longer_or_shorter_file_is_refused(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(DataError, match=name):
        load_bundle(folder)


def test_no_byte_of_the_manifest_changes_what_is_recommended(folder: Path) -> None:
    """α stands in the manifest alone, so that the manifest has to vouch for itself."""
    before = load_bundle(folder)
    whole = (folder / "manifest.json").read_bytes()
    accepted = []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (folder / "manifest.json").write_bytes(bytes(damaged))
        try:
            if not same(before, load_bundle(folder)):
                accepted.append(whole[max(0, place - 20) : place + 5])
        except DataError:
            pass
    assert not accepted


def test_what_a_model_cost_cannot_be_rewritten(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"epsilon": 1.0', '"epsilon": 0.1'), encoding="utf-8")
    with pytest.raises(DataError):
        load_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name}: missing"):
        load_bundle(folder)


def test_where_there_is_no_bundle_it_says_so(folder: Path) -> None:
    with pytest.raises(DataError, match="nowhere: no bundle here"):
        load_bundle(folder.with_name("nowhere"))
    (folder / "manifest.json").unlink()
    with pytest.raises(DataError, match="no bundle here"):
        load_bundle(folder)


def change_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}), encoding="utf-8")


def test_another_version_is_refused_by_its_number(folder: Path) -> None:
    change_manifest(folder, schema=1)
    with pytest.raises(DataError, match="a bundle of version 1, this program reads 2"):
        load_bundle(folder)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"3", b"{}", b'{"schema": 2}', b"\xff\xfe", b'{"schema": 2'])
def test_what_is_no_manifest_is_refused(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    with pytest.raises(DataError, match=r"manifest\.json: not a bundle's manifest"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changes",
    [{"shape": {"items": 4}}, {"shape": None}, {"sha256": {}}, {"sha256": None}, {"sha256": dict.fromkeys(FILES[1:])}],
    ids=str,
)
def test_a_manifest_that_lacks_something_is_refused(folder: Path, changes: dict[str, object]) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(DataError, match=r"manifest\.json: not a bundle's manifest"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("name", "arrays"),
    [
        ("head.safetensors", {**QUANTISED_HEAD, "b": HEAD.b[:3]}),
        ("head.safetensors", {name: part for name, part in QUANTISED_HEAD.items() if name != "W"}),
        ("head.safetensors", {**QUANTISED_HEAD, "X": HEAD.b}),
        ("head.safetensors", {**QUANTISED_HEAD, "V": np.zeros((4, 1), np.int8)}),
        ("head.safetensors", {**QUANTISED_HEAD, "V": HEAD.parameters["V"]}),
        ("head.safetensors", {name: part for name, part in QUANTISED_HEAD.items() if name != "b"}),
        ("head.safetensors", {**QUANTISED_HEAD, "b": np.full(ITEMS, np.nan, np.float32)}),
        ("head.safetensors", {**QUANTISED_HEAD, "b": HEAD.b.astype(np.float64)}),
        ("items.safetensors", Quantised.of(np.zeros((ITEMS, 2), np.float32)).arrays),
        ("items.safetensors", Quantised.of(np.zeros((5, DIMENSION), np.float32)).arrays),
        ("items.safetensors", {**Quantised.of(np.zeros((ITEMS, DIMENSION), np.float32)).arrays, "scale": HEAD.b}),
        ("items.safetensors", {"rotation": np.zeros((ITEMS, DIMENSION), np.float32)}),
    ],
)
def test_parts_that_do_not_fit_are_refused_though_the_manifest_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, arrays: dict[str, Any]
) -> None:
    """What a publisher's own defect would look like."""
    from sottovoce.common import bundle

    def of_other_parts(path: Path, right: dict[str, Any]) -> None:
        save_arrays(path, arrays if path.name == name else right)

    vectors = np.ones((ITEMS, DIMENSION), np.float32)
    save_arrays(tmp_path / "items.safetensors", {"vectors": vectors})
    monkeypatch.setattr(bundle, "save_arrays", of_other_parts)
    write_bundle(tmp_path / "bundle", CATALOGUE, tmp_path / "items.safetensors", HEAD, CARD, FACTS)
    with pytest.raises(DataError):
        load_bundle(tmp_path / "bundle")


def test_a_new_bundle_takes_the_place_of_the_previous_one(folder: Path) -> None:
    (folder / "leftover").write_text("")
    write(folder, dataclasses.replace(HEAD, b=HEAD.b + 1), "# Another card")
    np.testing.assert_array_equal(load_bundle(folder).model.head.b, HEAD.b + 1)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle", "items.safetensors"]
    assert not (folder / "leftover").exists()


def test_what_an_interrupted_write_left_is_in_nobodys_way(folder: Path) -> None:
    unfinished = folder.with_name("bundle.part")
    unfinished.mkdir()
    (unfinished / "stray").write_text("")
    write(folder)
    assert not (folder / "stray").exists()
    assert not unfinished.exists()


@pytest.mark.parametrize("step", range(2))
def test_the_previous_bundle_stays_if_a_rename_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    before = load_bundle(folder)
    rename, renamed = Path.rename, []

    def failing(path: Path, target: Path) -> Path:
        if path.is_dir():
            renamed.append(path)
            if len(renamed) == step + 1:
                raise OSError("no space left on device")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", failing)
        with pytest.raises(OSError, match="no space"):
            write(folder, dataclasses.replace(HEAD, b=HEAD.b + 1))
    assert same(before, load_bundle(folder))


def test_the_previous_bundle_stays_if_writing_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_bundle(folder)
    with pytest.raises(DataError, match="no such file"):
        write_bundle(folder, CATALOGUE, folder.with_name("nothing"), HEAD, CARD, FACTS)
    assert same(before, load_bundle(folder))
    with pytest.raises(TypeError):
        write_bundle(folder, CATALOGUE, folder.with_name("items.safetensors"), HEAD, CARD, {"run": object()})
    assert same(before, load_bundle(folder))
