"""How recordings come in: docks, tus intake, receipts, probe and renditions."""
