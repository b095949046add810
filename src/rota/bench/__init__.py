"""Turns beside the driver's own slicing and MPS, measured by what the programs themselves record.

Scenarios are data; every figure comes from the lines that the workloads wrote about their own work
(what was done from when to when), never from what the scheduler says it gave them.
"""
