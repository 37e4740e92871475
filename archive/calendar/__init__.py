"""The calendar of the bureau: local days, Chinese working days with shifted weekends, deadlines that show their count."""
