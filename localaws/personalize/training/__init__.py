"""Solutions and their versions: recipes, the data they learn from, search and metrics."""
