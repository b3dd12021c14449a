"""Strata behind the interfaces of other programs."""
