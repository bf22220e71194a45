"""The site's pages, and the program that writes the generated ones."""
