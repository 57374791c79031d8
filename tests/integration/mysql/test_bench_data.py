"""What benchmarks write into the database by SQL alone is what the product writes and reads."""
