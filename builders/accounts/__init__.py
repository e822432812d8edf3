"""Accounts of images: what one consists of, why, and what changed from one to another."""
