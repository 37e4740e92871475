"""The register of certificates that sign documents: whose they are, what they signed, which are revoked, by whom."""
