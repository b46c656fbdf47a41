"""Providers: pure translation between our values and each company's wire. One file per provider."""

from .base import Capabilities, Provider, load

__all__ = ["Capabilities", "Provider", "load"]
