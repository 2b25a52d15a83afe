# SPDX-License-Identifier: Apache-2.0
"""Closed surfaces from clouds of points: by density and marching cubes, or by screened Poisson."""
