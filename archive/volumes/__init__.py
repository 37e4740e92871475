"""The case file (案卷): papers and footage of a case arranged in volumes, with page numbers, and closed for good."""
