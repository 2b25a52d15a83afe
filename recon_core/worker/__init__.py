# SPDX-License-Identifier: Apache-2.0
"""A long-lived process that reconstructs and trains for another program, over standard input and output."""
