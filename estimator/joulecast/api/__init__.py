"""The stages joined: profiles, forecasts, and both as documents.

``import joulecast`` offers the public part of it.
"""
