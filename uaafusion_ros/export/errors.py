"""What goes wrong while a model is exported."""


class ExportError(ValueError):
    """A model that cannot be exported, or a graph that is not the model; says what to do."""
