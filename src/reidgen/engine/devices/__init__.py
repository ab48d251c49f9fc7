"""Devices, processes and what the machine has."""
