"""Sections of a report: each computes its tables and figures from the records of a study."""
