"""The parts that `engine.sources.scene` is made of: textures drawn by code, and layers of them that move."""
