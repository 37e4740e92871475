"""Cases: where text records and footage of one enforcement matter meet, under one subject."""
