"""Constants of times, which are UTC epoch seconds everywhere."""

SECONDS_PER_DAY = 86_400
UNKNOWN_TIME = -1
