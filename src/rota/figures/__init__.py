"""What is shown of a node: figures of its clients, of its GPUs, and of Rota itself.

`model` is the one form in which all who show something read it (metrics, page, `rota top`), and
`collect` makes it from what other rooms know. Nothing here changes anything, and nothing here
draws: a figure has its value and its unit, and whoever shows it does the rest.
"""
