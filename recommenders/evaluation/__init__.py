"""Offline metrics with Amazon Personalize's hold-outs and names."""
