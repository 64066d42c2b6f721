"""Discovery of plugins, parsing of selections, and instantiation of objects."""
