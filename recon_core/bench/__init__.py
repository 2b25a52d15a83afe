# SPDX-License-Identifier: Apache-2.0
"""Renderers measured beside plain forms of the same formulas: `recon bench`."""
