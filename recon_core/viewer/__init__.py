# SPDX-License-Identifier: Apache-2.0
"""A cloud viewer for HTML pages that fetch nothing: script, style, and clouds and pictures as text."""
