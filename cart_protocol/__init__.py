"""The agreement: everything on which a cart and its store must agree."""
