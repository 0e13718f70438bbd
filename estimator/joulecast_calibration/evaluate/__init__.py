"""How good forecasts are, on rows that were measured. Needs scipy (extra ``fit``)."""
