# SPDX-License-Identifier: Apache-2.0
"""One exception family: every message says what was wrong, where, what was expected and how to fix it."""


class ReconError(Exception):
    """A failure with a message for the user; the command line prints it without a traceback."""

    exit_code = 1


class InputError(ReconError):
    """A file or value given by the user cannot be used."""


class DatasetError(ReconError):
    """A dataset folder is missing, incomplete or inconsistent."""


class ConfigError(ReconError):
    """A recipe or an override is not valid."""

    exit_code = 2


class CheckpointError(ReconError):
    """A run folder, checkpoint or weights file cannot be loaded."""


class TrainingError(ReconError):
    """Training stopped because it cannot go on (for example, a loss that is not finite)."""


class MissingDependency(ReconError):
    """Something that has to be installed is not there."""
