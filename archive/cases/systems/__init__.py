"""What other systems push: subjects, cases, acts and officers by the ids of the system that pushes them."""
