"""Published ways to forecast a network's joules, fitted on the same rows as ``physical``.

Needs scikit-learn (extra ``fit``).
"""
