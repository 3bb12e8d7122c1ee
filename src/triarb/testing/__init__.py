"""What an author of a plug-in runs on it, and what tests are made of."""
