"""Which language model a container serves, read from the command line of its inference engine and never executed."""
