"""Splits and rows of a data set."""
