# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the section Align."""

CLASSES = ()
