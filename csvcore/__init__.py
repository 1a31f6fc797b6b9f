"""Capability Salience Vectors: what a language model can do, from the loss it gives to text."""

__version__ = "0.1.0"
