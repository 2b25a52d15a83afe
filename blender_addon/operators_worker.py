# SPDX-License-Identifier: GPL-3.0-or-later
"""Operators of the preferences: find the worker and ask it how it is."""

CLASSES = ()
