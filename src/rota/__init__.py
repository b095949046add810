"""Rota gives every program on a shared NVIDIA GPU its turn."""

__version__ = "0.1.0"
