"""TensorBoard instances, experiments, runs and time series."""
