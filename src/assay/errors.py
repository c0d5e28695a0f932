"""What can go wrong for a user, as types: one sentence each, naming the file and the fix.

Every class derives from :class:`AssayError` and, where one fits, from the built-in that a caller
would expect. The command line prints the message and exits with code 2; anything else is a bug.
"""

from __future__ import annotations


class AssayError(Exception):
    """Base of all errors that are the input's or the environment's fault, not a bug in assay."""


class ModelError(AssayError, ValueError):
    """The model file is missing, unreadable, damaged, or not of a format assay reads."""


class UnsupportedOperatorError(AssayError, ValueError):
    """The model holds operators that cannot be compiled; the message names each with its index."""


class ConfigError(AssayError, ValueError):
    """A compile option is out of range or contradicts another."""


class TargetError(AssayError, ValueError):
    """The target string cannot be parsed, or LLVM does not know the triple, CPU or feature."""


class InputError(AssayError, ValueError):
    """An input tensor has the wrong index, shape or dtype."""


class ArtifactError(AssayError, ValueError):
    """A compiled library or its manifest is missing, damaged, or not for this machine."""


class DatasetError(AssayError, ValueError):
    """A data set is missing, incomplete, or does not decode."""


class DownloadError(DatasetError, OSError):
    """A download failed, stopped early, or delivered something that must not be unpacked."""


class ResultsError(AssayError, OSError):
    """The results path cannot be read or written, or holds something else."""


class MissingDependencyError(AssayError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""


class CompileError(AssayError, RuntimeError):
    """TVM or LLVM refused the model for a reason that no earlier check could tell."""


class CrashError(AssayError, RuntimeError):
    """A process that worked on a model died; the message says of what, and where its log is."""


class TimingError(AssayError, RuntimeError):
    """Nothing could be timed, or the process of whatever was to be timed did not come through."""
