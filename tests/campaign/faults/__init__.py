"""One fault after another on the scaled deployment under load; after each everything is looked up in the stores."""
