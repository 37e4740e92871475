"""Evidence items and their renditions."""
