"""What keeps an object beyond its schedule: retention marks, holds (冻结), and every other stop of its disposition."""
