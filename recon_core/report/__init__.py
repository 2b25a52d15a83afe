# SPDX-License-Identifier: Apache-2.0
"""Results of photographs as one HTML page: photograph, mask, cloud from four sides and over the photo, confidence."""
