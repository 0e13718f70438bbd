"""Bytes read forward: windows over random access, decompression, tar archives."""
