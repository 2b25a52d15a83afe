# SPDX-License-Identifier: Apache-2.0
"""Run pytest in a Blender executable: blender --background --python inside_blender.py -- SITE_PACKAGES ARGUMENTS.

Blender's own Python has no pytest; that of this project's environment is put behind what Blender brings.
"""

import sys

site_packages, *arguments = sys.argv[sys.argv.index("--") + 1 :]
sys.path.append(site_packages)

import pytest  # noqa: E402

sys.exit(pytest.main(arguments))
