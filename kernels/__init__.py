"""Pixel kernels. Each has a NumPy reference that defines it and a fused form that runs in production."""
