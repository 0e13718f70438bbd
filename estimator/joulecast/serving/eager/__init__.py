"""What torch runs in eager mode beyond a traced module: quantised linear layers, and the loop that generates."""
