"""What runs on moto's repaired interpreter, and what each repair mends."""
