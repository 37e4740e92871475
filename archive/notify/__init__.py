"""Telling others: events of items, written with the change that they tell of, and delivered to other systems."""
