"""The version of the distribution ``otbench-suite``."""

__version__ = "0.1.0"
