"""The operations of the three services, a module for each type of resource or API."""
