# SPDX-License-Identifier: Apache-2.0
"""Test-time refinement: a predicted cloud moved until it fits the masks of its images, within what a prior allows."""
