"""Task descriptions in English, and text for pretraining."""
