"""The report lists users who still depend on POP-before-SMTP: from counts and a journal to a text
or a page."""
