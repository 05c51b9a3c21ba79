"""Generates the splits of a data set as rows."""
