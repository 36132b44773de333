"""Picks a subnet for what a device can spend: the C, its tables of costs, its host library."""
