# SPDX-License-Identifier: Apache-2.0
"""Part labels for any mesh or cloud by the part head of a model that knows such things from images."""
