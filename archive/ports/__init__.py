"""What the domain needs from the outside, as Protocols cut by capability. Adapters implement them; wiring chooses."""
