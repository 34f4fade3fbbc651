"""Commands of `liverseg-train` that have a file of their own."""
