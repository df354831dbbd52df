"""The figures that only the notebooks draw, a module for each notebook.

Each function takes what a cell has computed and returns a matplotlib Figure, so that the cells show
only what teaches. Words on them go through `labels.word`.
"""
