"""Fit profiles of accelerators on measured rows. Needs scipy (extra ``fit``)."""
