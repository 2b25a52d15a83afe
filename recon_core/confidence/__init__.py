# SPDX-License-Identifier: Apache-2.0
"""How far each point of a predicted cloud is to be trusted: what was seen, what stays under changes, calibrated."""
