"""One file a kind of row: plain async functions that take the caller's transaction.

Whatever belongs to a person is read and written with that person's id; another person's row is as
if it were not there. The few functions that look past that are named ``any_…`` and are for the
workflow and for admins.
"""
