# SPDX-License-Identifier: Apache-2.0
"""Helpers of these tests are imported by name, in Blender's processes too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

# Runs inside Blender only, started by test_inside.py.
collect_ignore = ["inside"]
