"""Proves that a cluster serves its GPUs as its config says.

`targets` says what each node should offer, `smoke` runs as many pods as it has free and one more that
must wait, `sight` is what they see inside, `report` what all of it comes to. What was made is removed
whatever happens; what a killed run left is found by its labels (`traces`).
"""
