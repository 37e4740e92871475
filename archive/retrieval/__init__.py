"""Grants to see or copy content, each with its purpose and its log entry."""
