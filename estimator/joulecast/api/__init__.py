"""The stages joined: profiles, forecasts, and both as documents. ``import joulecast`` offers what is public of it."""
