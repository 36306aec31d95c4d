"""The real TensorBoard of a run, under the server's own address and authentication."""
