"""Providers: pure translation between our values and each company's wire. One file per provider."""

from .base import Capabilities, Provider
from .registry import KNOWN, NETWORKED, Given, find, from_url, load, provider

__all__ = ["KNOWN", "NETWORKED", "Capabilities", "Given", "Provider", "find", "from_url", "load", "provider"]
