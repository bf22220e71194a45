"""AWS Lambda: functions that run their deployed code."""
