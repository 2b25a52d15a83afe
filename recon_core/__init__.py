# SPDX-License-Identifier: Apache-2.0
"""Single-image 3D reconstruction with models that people train on their own renders."""

__version__ = "0.1.0"
