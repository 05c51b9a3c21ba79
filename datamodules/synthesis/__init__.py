"""From atoms to contamination-free splits of synthetic tasks. No torch in here."""
