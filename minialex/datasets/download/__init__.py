"""Bring a public data set to this machine."""
