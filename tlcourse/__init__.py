"""Transfer learning, taught with code that runs and numbers that are checked."""

__version__ = "0.1.0"
