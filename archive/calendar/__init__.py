"""The calendar of the bureau: local days, working days with shifted weekends, deadlines that show their count."""
