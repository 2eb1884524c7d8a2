"""Small artifacts, servers and fakes that tests and benchmarks make. Nothing here is a test."""
