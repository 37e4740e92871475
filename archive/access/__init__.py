"""Who may do what: accounts, sessions, API keys, roles and the one policy."""
