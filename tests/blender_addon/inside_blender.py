# SPDX-License-Identifier: Apache-2.0
"""Run pytest in another Blender: blender --background --python inside_blender.py -- SITE_PACKAGES ARGUMENTS.

Or, for a Python with another bpy wheel: python inside_blender.py -- SITE_PACKAGES ARGUMENTS. Neither has pytest; that
of this project's environment is put behind what they bring.
"""

import sys

site_packages, *arguments = sys.argv[sys.argv.index("--") + 1 :]
sys.path.append(site_packages)

import pytest  # noqa: E402

sys.exit(pytest.main(arguments))
