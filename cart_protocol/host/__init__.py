"""What cart and store both need of the machine they run on: its clock, its configuration files, its service manager."""
