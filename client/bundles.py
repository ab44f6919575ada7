"""The models that a device received: each one signed, never an older one than before, the last two kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sottovoce.common.bundle import load_bundle
from sottovoce.common.errors import DataError
from sottovoce.common.signature import SIGNED_FILES, Signed, verify_bundle

KEPT = 2
NEWEST = "newest"


@dataclass(frozen=True)
class BundleStore:
    """The published models of one federation, a folder for each version.

    Attributes:
        folder: Where they lie.
        public_key: The federation's signing key, in hex, from the invitation.
        federation: Its name.
    """

    folder: Path
    public_key: str
    federation: str

    def current(self) -> Path | None:
        """The newest model, if there is one."""
        return max(self._installed().items(), default=(0, None))[1]

    @property
    def version(self) -> int:
        """Version of the newest model; zero if there is none."""
        return max(self._installed(), default=0)

    def install(self, folder: Path) -> Signed:
        """Check a bundle and keep it. The same one again changes nothing.

        Raises:
            DataError: its signature, its content, its federation or its version is not the one that is due.
        """
        try:
            files = {name: (folder / name).read_bytes() for name in SIGNED_FILES}
        except OSError as error:
            raise DataError(folder, f"not a signed bundle: {error.strerror}") from error
        return self.install_files(files)

    def install_files(self, files: Mapping[str, bytes]) -> Signed:
        """The same for the contents of a bundle's files, by name.

        Raises:
            DataError: as above, or the disk is full; what was there before is still there.
        """
        if set(files) != set(SIGNED_FILES):
            raise DataError("bundle", f"consists of {', '.join(SIGNED_FILES)} and nothing else")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            unfinished = Path(tempfile.mkdtemp(prefix="part-", dir=self.folder))
            try:
                return self._install(unfinished, files)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        except OSError as error:
            raise DataError(self.folder, f"the bundle could not be kept: {error.strerror}") from error

    def _install(self, unfinished: Path, files: Mapping[str, bytes]) -> Signed:
        for name, content in files.items():
            _write(unfinished / name, content)
        signed = verify_bundle(unfinished, self.public_key)
        if signed.federation != self.federation:
            raise DataError("bundle", f"of another federation than {self.federation}")
        installed = self._installed()
        newest = max(self._newest_ever(), *installed, 0)
        if signed.version < newest:
            raise DataError("bundle", f"version {signed.version} is older than {newest}: a device never goes back")
        place = self.folder / f"{signed.version:08d}"
        if signed.version in installed and self._intact(place):
            if (place / "manifest.json").read_bytes() != files["manifest.json"]:
                raise DataError("bundle", f"another content under version {newest}, which is installed")
            return signed
        load_bundle(unfinished)
        shutil.rmtree(place, ignore_errors=True)
        _write(self.folder / NEWEST, str(signed.version).encode())
        try:
            unfinished.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster: what it installed bears the same signature
                raise
        for version in sorted(self._installed())[:-KEPT]:
            shutil.rmtree(self.folder / f"{version:08d}", ignore_errors=True)
        return signed

    def _newest_ever(self) -> int:
        """The newest version that this device held, also if it was damaged and is gone."""
        try:
            return int((self.folder / NEWEST).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def _intact(self, bundle: Path) -> bool:
        try:
            verify_bundle(bundle, self.public_key)
        except DataError:
            return False
        return True

    def _installed(self) -> dict[int, Path]:
        if not self.folder.is_dir():
            return {}
        return {int(path.name): path for path in self.folder.iterdir() if path.is_dir() and path.name.isdecimal()}


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
