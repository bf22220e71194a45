"""The models, a module each, and the components that they share."""
