"""How long recovery takes, at default settings: ``python -m chaos.figures``, target beside figure.

Each module measures one thing with real ``pgqueue worker`` processes, on databases of its own.
"""
