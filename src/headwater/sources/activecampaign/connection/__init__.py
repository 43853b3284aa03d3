"""The account's webhook: registered, looked after, and how it does in words."""
