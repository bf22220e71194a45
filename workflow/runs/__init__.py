"""Executions of the deployed workflow: how far one is, why one failed, what one used and costs."""
