"""A device keeps signed models only, never goes back to an older one, and keeps the last two."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from devices import FEDERATION, files_of, signed_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sottovoce.client.bundles import BundleStore
from sottovoce.common.bundle import load_bundle
from sottovoce.common.errors import DataError
from sottovoce.common.signature import SIGNED_FILES, SigningKey

KEY = SigningKey.generate()


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    return BundleStore(tmp_path / "bundles", KEY.public, FEDERATION)


def versions(store: BundleStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir() if path.is_dir())


def test_the_last_two_are_kept_and_the_newest_is_used(store: BundleStore, tmp_path: Path) -> None:
    assert (store.current(), store.version) == (None, 0)
    for version in (1, 2, 5):
        assert store.install(signed_bundle(tmp_path / str(version), KEY, version)).version == version
    assert versions(store) == ["00000002", "00000005"]
    current = store.current()
    assert current is not None and len(load_bundle(current).catalogue) == 60


def test_the_same_bundle_again_changes_nothing(store: BundleStore, tmp_path: Path) -> None:
    bundle = signed_bundle(tmp_path / "one", KEY, 3)
    assert store.install(bundle) == store.install(bundle)
    assert versions(store) == ["00000003"]


def test_another_content_under_an_installed_version_is_refused(store: BundleStore, tmp_path: Path) -> None:
    store.install(signed_bundle(tmp_path / "one", KEY, 3))
    with pytest.raises(DataError, match="another content"):
        store.install(signed_bundle(tmp_path / "two", KEY, 3, note="changed"))


def test_a_device_never_goes_back(store: BundleStore, tmp_path: Path) -> None:
    store.install(signed_bundle(tmp_path / "2", KEY, 2))
    with pytest.raises(DataError, match="never goes back"):
        store.install(signed_bundle(tmp_path / "1", KEY, 1))
    assert versions(store) == ["00000002"]


def test_a_bundle_of_another_federation_or_key_is_refused(store: BundleStore, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="another federation"):
        store.install(signed_bundle(tmp_path / "1", KEY, 1, federation="chess-club"))
    with pytest.raises(DataError, match="not signed by this federation"):
        store.install(signed_bundle(tmp_path / "2", SigningKey.generate(), 1))
    assert versions(store) == []


@pytest.mark.parametrize("name", SIGNED_FILES)
def test_one_changed_byte_anywhere_is_refused(store: BundleStore, tmp_path: Path, name: str) -> None:
    files = files_of(signed_bundle(tmp_path / "1", KEY, 1))
    content = bytearray(files[name])
    place = content.index(b'"signature": "') + 16 if name == "signature.json" else len(content) // 2
    content[place] ^= 1
    with pytest.raises(DataError):
        store.install_files({**files, name: bytes(content)})
    assert versions(store) == []


@pytest.mark.parametrize("name", ["../escape", "code.py", "manifest.json.bak"])
def test_a_file_that_no_bundle_has_is_never_written(store: BundleStore, tmp_path: Path, name: str) -> None:
    files = files_of(signed_bundle(tmp_path / "1", KEY, 1))
    with pytest.raises(DataError, match="nothing else"):
        store.install_files({**files, name: b"x"})
    with pytest.raises(DataError, match="nothing else"):
        store.install_files({key: value for key, value in files.items() if key != "head.safetensors"})
    assert not store.folder.exists()


def test_a_crash_in_the_middle_leaves_the_earlier_model(
    store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.install(signed_bundle(tmp_path / "1", KEY, 1))
    with monkeypatch.context() as patch:
        patch.setattr("sottovoce.client.bundles.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "disk is full")))
        with pytest.raises(DataError, match="disk is full"):
            store.install(signed_bundle(tmp_path / "2", KEY, 2))
    assert versions(store) == ["00000001"]
    (store.folder / "part-left-by-a-crash").mkdir()
    assert store.version == 1
    store.install(signed_bundle(tmp_path / "3", KEY, 3))
    assert store.version == 3


def test_a_model_that_was_lost_is_not_followed_by_an_older_one(store: BundleStore, tmp_path: Path) -> None:
    store.install(signed_bundle(tmp_path / "3", KEY, 3))
    current = store.current()
    assert current is not None
    shutil.rmtree(current)
    with pytest.raises(DataError, match="older than 3"):
        store.install(signed_bundle(tmp_path / "2", KEY, 2))
    store.install(signed_bundle(tmp_path / "3-again", KEY, 3))
    assert store.version == 3


def test_a_damaged_model_is_repaired_by_the_same_one(store: BundleStore, tmp_path: Path) -> None:
    bundle = signed_bundle(tmp_path / "1", KEY, 1)
    store.install(bundle)
    current = store.current()
    assert current is not None
    (current / "head.safetensors").write_bytes(b"")
    store.install(bundle)
    load_bundle(current)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from([*SIGNED_FILES, "x"]), st.binary(max_size=300)))
def test_rubbish_is_refused_in_one_line(store: BundleStore, rubbish: dict[str, bytes]) -> None:
    with pytest.raises(DataError) as caught:
        store.install_files(rubbish)
    assert "\n" not in str(caught.value)
    assert store.current() is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damage_under_a_valid_signature_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, store: BundleStore, data: st.DataObject
) -> None:
    """The holder of the key may make mistakes too: what it signs is still read with care."""
    import hashlib
    import json

    from sottovoce.common.signature import sign_bundle

    bundle = signed_bundle(tmp_path_factory.mktemp("fuzz") / "1", KEY, 1)
    name = data.draw(st.sampled_from(["head.safetensors", "items.safetensors", "catalogue.json"]))
    content = bytearray((bundle / name).read_bytes())
    for place in data.draw(st.lists(st.integers(0, min(len(content) - 1, 400)), min_size=1, max_size=5)):
        content[place] ^= data.draw(st.integers(1, 255))
    (bundle / name).write_bytes(bytes(content))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["sha256"][name] = hashlib.sha256(bytes(content)).hexdigest()
    del manifest["manifest_sha256"]
    text = json.dumps(manifest, sort_keys=True, ensure_ascii=False)
    manifest["manifest_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    sign_bundle(bundle, KEY, 1, FEDERATION)
    fresh = BundleStore(tmp_path_factory.mktemp("fuzz"), KEY.public, FEDERATION)
    try:
        fresh.install(bundle)
    except DataError as error:
        assert "\n" not in str(error)
        assert fresh.current() is None
