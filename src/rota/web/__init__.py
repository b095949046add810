"""Tells a node's figures over HTTP: metrics, JSON, a stream of turns, and the live page.

Nothing here changes anything on the node, and nobody who reads can hold the agent up: connections
are counted, those that are silent or do not read are cut off, and what is sent to many is made once.
"""
