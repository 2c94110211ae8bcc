"""Layouts: one module for each way in which somebody turns bridges and published ports into rules."""
