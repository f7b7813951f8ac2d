"""The engine: from a source of frames, through the painter, to sinks."""
