"""`sottovoce extend`: new items in a published model, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def extend(
    run: Annotated[Path, typer.Argument(help="A run folder with a published model.")],
    items: Annotated[Path, typer.Option("--items", help="The new items, as JSON: ids, titles, texts, attributes.")],
    out: Annotated[Path, typer.Option("--out", help="The bundle to write.")],
) -> int:
    """Add new items to a run's published model through their texts, and write it as another bundle."""
    from sottovoce.common.bundle import open_bundle
    from sottovoce.common.catalogue import Catalogue
    from sottovoce.common.encoder import find_encoder
    from sottovoce.common.errors import EncoderError
    from sottovoce.common.runfolder import RunFolder
    from sottovoce.common.vectors import ItemSpace
    from sottovoce.server.extend import extend_bundle

    folder = RunFolder(run.absolute())
    bundle, space = open_bundle(folder.bundle), ItemSpace.load(folder.data / "items.safetensors")
    encoder = find_encoder(space.encoder, space.revision)
    if encoder.fingerprint != space.facts["encoder_sha256"]:
        raise EncoderError(f"encoder {space.encoder} is another than the one that the item space was made with")
    card = (folder.bundle / "MODEL_CARD.md").read_text(encoding="utf-8")
    added = extend_bundle(bundle, card, space, Catalogue.load(items), encoder.encode_cached, out)
    print(f"{out}: {added} new items beside {len(bundle.catalogue)}")
    return 0
