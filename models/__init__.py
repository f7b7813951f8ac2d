"""Networks: architecture, losses, training, quantisation, export, and the library of shipped styles."""
