"""The command line; its import loads no heavy library."""
