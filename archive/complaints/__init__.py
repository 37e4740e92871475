"""Complaints and reports (投诉举报): registering, handling within deadlines, and what they stop meanwhile."""
