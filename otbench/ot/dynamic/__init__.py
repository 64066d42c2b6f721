"""Dynamic transport on the space-time grid."""
