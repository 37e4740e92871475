"""The door for Axis body-worn systems: what they transfer, until it is whole and becomes items."""
