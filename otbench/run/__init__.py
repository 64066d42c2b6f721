"""From a request to records: plan, check, and run each cell in a process of its own."""
