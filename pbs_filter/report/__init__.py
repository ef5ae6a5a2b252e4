"""Answers who still depends on POP-before-SMTP: from counts and a journal to texts and a page."""
