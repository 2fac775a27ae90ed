"""Measurements that anyone can run again: ``python -m metalab bench NAME``, one file each."""
