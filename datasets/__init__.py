"""The data sets that come with otbench, each registered by an entry point."""
