"""The register of devices (执法记录仪 and other sources): who has which, hand-over, and how their clocks go."""
