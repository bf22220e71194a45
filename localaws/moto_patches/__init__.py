"""What `localaws.interpreter` repairs in moto, by subject: tasks, states, executions."""
