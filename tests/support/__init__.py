"""Fakes, fixtures and services that several tests share."""
