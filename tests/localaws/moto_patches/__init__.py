"""Tests of moto's repaired interpreter: definitions that it runs, and each repair."""
