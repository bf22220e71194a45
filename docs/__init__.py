"""The site's pages, and beside them the program that writes what follows from the code."""
