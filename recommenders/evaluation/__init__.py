"""Offline metrics by Amazon Personalize's hold-outs and under its names."""
