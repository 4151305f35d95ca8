"""Registered models: challengers, the champion, and the gates between them."""
