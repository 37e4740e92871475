"""`./dev demo`: the main job end to end, through public doors only."""
