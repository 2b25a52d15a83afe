# SPDX-License-Identifier: Apache-2.0
"""Importers of foreign data sets, one module per layout, and the exporter; a closed registry of names."""

from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, cast

from ...errors import InputError

if TYPE_CHECKING:
    from .base import Importer, ImportOptions
    from .write import ImportResult

# Name on the command line -> module; shapenet-part adds labels to what is there and has a writer of its own.
FORMATS = {
    "dpc": "dpc",
    "dpc-tfrecord": "dpc_tfrecord",
    "dpc-pickle": "dpc_pickle",
    "dvr": "dvr",
    "drc": "drc",
    "r2n2": "r2n2",
    "ssl-tfrecord": "ssl_tfrecord",
    "shapenet-part": "attach_labels",
    "transforms": "transforms",
    "images": "images",
}


def import_dataset(kind: str, options: "ImportOptions") -> "ImportResult":
    """Import a data set of a format into a native folder; raises InputError for an unknown format or bad options."""
    from .option_checks import check_options

    if kind not in FORMATS:
        near = get_close_matches(kind, FORMATS, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"There is no format {kind!r}; there are {', '.join(FORMATS)}.{hint}")
    check_options(options)
    if kind == "shapenet-part":
        from .attach_labels import attach_labels
        from .paths import require_folder

        require_folder(options.source)
        return attach_labels(options)
    from .write import run_import

    module = cast("Importer", import_module(f".{FORMATS[kind]}", __package__))
    return run_import(kind, module.entries(options), module.INFO, options)


def summaries() -> dict[str, str]:
    """Format -> what it is, in one line."""
    return {kind: import_module(f".{name}", __package__).INFO.summary for kind, name in FORMATS.items()}


__all__ = ["FORMATS", "import_dataset", "summaries"]
