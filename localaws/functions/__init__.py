"""AWS Lambda: functions that run what was deployed."""
