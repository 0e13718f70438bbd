"""Profiles of accelerators from rows that were measured. Needs scipy (extra ``fit``)."""
