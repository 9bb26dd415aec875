"""Metrics, bag reading, reports and tasks."""
