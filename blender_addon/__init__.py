# SPDX-License-Identifier: GPL-3.0-or-later
"""Recon for Blender: one image to coloured, part-labelled points in the scene, under the photo's camera.

Nothing is imported here, so that the parts without bpy can be used and tested outside Blender.
"""

# Read by Blender 3.4 to 4.1; later ones read blender_manifest.toml.
bl_info = {
    "name": "Recon",
    "author": "The recon developers",
    "version": (0, 1, 0),
    "blender": (3, 4, 0),
    "location": "3D Viewport > Sidebar > Recon",
    "description": "One image to labelled points, under the camera of the photo",
    "doc_url": "",
    "category": "3D View",
}

# Reload Scripts reloads this file alone: what it imported before would stay as it was.
if "register" in globals():
    import sys

    for _old in [name for name in sys.modules if name.startswith(f"{__name__}.")]:
        del sys.modules[_old]
        globals().pop(_old.rpartition(".")[2], None)


def register() -> None:
    """Register every class, property, timer and handler."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Cancel what runs and remove everything that register() added."""
    from . import registration

    registration.unregister()
