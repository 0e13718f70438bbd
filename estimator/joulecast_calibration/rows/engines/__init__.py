"""Published tables of single kernels of inference engines, as the rows that ``joulecast.serving`` makes of them."""
