# SPDX-License-Identifier: Apache-2.0
"""Where the benchmarks of this folder find recon_core.bench.measure."""

from recon_core.bench.measure import Step, compare, describe, own_process_mb, peak_growth_mb, seconds

__all__ = ["Step", "compare", "describe", "own_process_mb", "peak_growth_mb", "seconds"]
