"""Fit the engines' coefficients: seconds from tables of single kernels, joules from the power that some hold."""
