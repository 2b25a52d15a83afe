# SPDX-License-Identifier: Apache-2.0
"""Where the Blender scripts, recipes and example images lie: in a checkout, or bundled in an installed wheel."""

from pathlib import Path

from .errors import MissingDependency

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: str) -> Path:
    """Return the folder `name` (render_scripts, configs, examples, models); raise MissingDependency when absent."""
    for folder in (_PACKAGE / "_bundled" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise MissingDependency(f"The folder {name!r} is missing beside {_PACKAGE}. Reinstall the package.")


def shipped_run() -> Path:
    """Run folder of the model that comes with the package; raise MissingDependency when it is not there."""
    return resource_dir("models") / "default"
