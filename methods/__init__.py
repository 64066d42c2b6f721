"""The methods that come with otbench, registered by entry points as a stranger's would be."""
