"""Schemathesis against the whole OpenAPI document, as every caller."""
