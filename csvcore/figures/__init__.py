"""Tables in, figures out: Plotly figures and self-contained HTML, for pages, reports and notebooks.

Names of models and token text are escaped here, once: Plotly reads some HTML in text.
"""
