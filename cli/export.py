"""`sottovoce export`: a bundle's scoring path for other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    bundle: Annotated[Path, typer.Argument(help="A published bundle.")],
    onnx: Annotated[Path, typer.Option("--onnx", help="The ONNX file to write.")],
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="Also write ids, titles and categories as one JSON file.")
    ] = None,
) -> int:
    """Write a bundle's scoring path as ONNX: from a history to the score of every item."""
    import json

    from sottovoce.common.bundle import open_bundle
    from sottovoce.common.onnx_export import export_onnx

    published = open_bundle(bundle)
    export_onnx(published, onnx)
    print(f"{onnx}: {published.shape.items} items, {onnx.stat().st_size / 1e6:.2f} MB")
    if catalogue is not None:
        items = published.catalogue
        categories = items.attributes.get("categories")
        table = {"ids": list(items.ids), "titles": list(items.titles), "categories": list(categories or ())}
        catalogue.write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8")
        print(f"{catalogue}: what the scores are of")
    return 0
