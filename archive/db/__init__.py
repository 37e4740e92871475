"""Engine, session and unit of work for SQLite and PostgreSQL, and the migrations of both."""
