"""Bytes of a file become arrays: idx, the records of CIFAR-10, and pictures of every kind."""
