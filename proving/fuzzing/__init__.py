"""Decoders, and inputs that are made to confuse them."""
