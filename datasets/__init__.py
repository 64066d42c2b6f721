"""The data sets that come with otbench, registered by entry points."""
