"""A profile from the rows that ``joulecast measure`` wrote: one accelerator, its layers and its networks."""
