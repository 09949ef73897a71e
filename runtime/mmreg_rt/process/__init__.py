"""The process that runs a registration: memory, threads, forks, and when garbage is collected."""
