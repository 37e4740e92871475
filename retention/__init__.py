"""How long things are kept and whether they are still whole: fixity, later schedules, holds, disposition."""
