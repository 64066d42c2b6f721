"""The methods that come with otbench, registered by entry points like third-party methods."""
