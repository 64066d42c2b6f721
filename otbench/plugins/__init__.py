"""Finding plugins, reading selections of them, and making objects from those."""
