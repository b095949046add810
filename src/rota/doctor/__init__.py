"""What is wrong with a cluster's GPUs, why, and what to type.

`look` reads the cluster into a `World`; rules over it are pure, as those of `rota check`, which are
run over the live objects too. Every finding has a section that explains it. Nothing is changed.
"""
