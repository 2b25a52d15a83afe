# SPDX-License-Identifier: Apache-2.0
"""Placing: the camera under which an object that is known covers a mask in a photograph."""
