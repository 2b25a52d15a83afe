# SPDX-License-Identifier: GPL-3.0-or-later
"""What register() adds, in order, and unregister() removes in reverse."""

import bpy

from . import (
    crop_preview,
    data_pictures,
    data_properties,
    data_state,
    log,
    operators_align,
    operators_batch,
    operators_data,
    operators_files,
    operators_match,
    operators_mesh,
    operators_parts,
    operators_reconstruct,
    operators_refine,
    operators_turntable,
    operators_worker,
    panel,
    panel_align,
    panel_card,
    panel_data,
    preferences,
    presets,
    properties,
    session,
)

_CLASSES = (
    *operators_reconstruct.CLASSES,
    *operators_parts.CLASSES,
    *operators_align.CLASSES,
    *operators_files.CLASSES,
    *operators_mesh.CLASSES,
    *operators_worker.CLASSES,
    *operators_refine.CLASSES,
    *operators_match.CLASSES,
    *operators_turntable.CLASSES,
    *data_properties.CLASSES,
    *operators_data.CLASSES,
    *log.CLASSES,
    *presets.CLASSES,
    *panel.CLASSES,
    *panel_card.CLASSES,
    *operators_batch.CLASSES,
    *panel_align.CLASSES,
    *operators_match.PANELS,
    *operators_turntable.PANELS,
    operators_mesh.RECON_PT_mesh,
    *panel_data.CLASSES,
    panel.RECON_PT_files,
)


def register() -> None:
    properties.register()
    # Without the preferences the add-on works too: registered by hand, in tests, it has none.
    for one in (*preferences.CLASSES, *_CLASSES):
        bpy.utils.register_class(one)
    data_properties.register()
    crop_preview.register()
    data_pictures.register()
    session.register()
    operators_files.register_menus()


def unregister() -> None:
    operators_files.unregister_menus()
    operators_batch.unregister()
    session.unregister()
    crop_preview.unregister()
    data_pictures.unregister()
    data_state.forget()
    data_properties.unregister()
    for one in reversed((*preferences.CLASSES, *_CLASSES)):
        bpy.utils.unregister_class(one)
    properties.unregister()
