"""The web pages of the service: forms, lists and results for browsers, signed in by a cookie."""
