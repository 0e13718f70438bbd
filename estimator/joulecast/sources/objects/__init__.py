"""Models in a bucket of an object store (S3 and what speaks its protocol), read by signed range requests."""
