"""Run measuring processes: command-line options, the chain of processes, and the journal that they write."""
