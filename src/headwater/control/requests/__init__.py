"""Requests that are sent again: their answers are kept for a day and given again."""
