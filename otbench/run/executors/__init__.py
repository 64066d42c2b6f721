"""Where cells run: each executor takes prepared cells and makes their records appear."""
