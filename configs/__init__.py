"""The YAML files of atomforge, as package data."""
