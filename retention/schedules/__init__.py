"""How long: retention schedules (保管期限表) as dated data, and the algebra that says which rule wins."""
