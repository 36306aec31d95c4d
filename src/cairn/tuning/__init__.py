"""Studies, trials and hyperparameter tuning jobs."""
