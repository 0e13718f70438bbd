"""The laboratory's commands of ``joulecast``: evaluate, fit, suite, measure and calibrate."""
