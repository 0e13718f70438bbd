"""What the rows of a folder contain, and whether a fit may use them."""
