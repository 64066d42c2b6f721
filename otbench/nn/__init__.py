"""Networks and training pieces that methods share."""
